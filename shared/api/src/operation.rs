//! One table for all: an operation is its method, its path, who handles it and what is told of it. Router and description are made of
//! the same rows, so that neither can have what the other lacks.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    handler::Handler,
    http::{HeaderValue, Method, Uri, header::CONTENT_TYPE},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use tracking_core::caller::Caller;
use tracking_engine::{Engine, backend::Backend};

use crate::{
    auth::{Auth, protected},
    idempotency,
    openapi::{About, document, paths},
    problem::Problem,
    query::Parameters,
};

/// A row of the table; `S` is what its handler works with.
pub struct Operation<S = ()> {
    method: Method,
    path: &'static str,
    route: MethodRouter<S>,
    about: fn() -> About,
    open: bool,
    repeatable: bool,
}

/// What the description knows of a row.
pub(crate) struct Described {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) about: fn() -> About,
    pub(crate) open: bool,
    pub(crate) repeatable: bool,
}

impl<S: Clone + Send + Sync + 'static> Operation<S> {
    /// An operation for callers with a token. A POST may be repeated with an `Idempotency-Key`.
    ///
    /// # Panics
    /// If a router has no such method.
    pub fn new<H, T>(method: Method, path: &'static str, handler: H, about: fn() -> About) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("the table names methods that routers know");
        let repeatable = method == Method::POST;
        Self { method, path, route: on(filter, handler), about, open: false, repeatable }
    }

    /// The same for everybody, with or without a token.
    #[must_use]
    pub fn open(self) -> Self {
        Self { open: true, ..self }
    }

    /// The same, but it changes nothing, or knows by itself what it did before: it needs no key of the caller's.
    #[must_use]
    pub fn without_key(self) -> Self {
        Self { repeatable: false, ..self }
    }

    /// The same with bodies of at most so many bytes.
    #[must_use]
    pub fn with_most_bytes(self, most: usize) -> Self {
        Self { route: self.route.layer(DefaultBodyLimit::max(most)), ..self }
    }

    /// The same, with what its handler works with.
    pub fn with(self, state: S) -> Operation {
        let Self { method, path, route, about, open, repeatable } = self;
        Operation { method, path, route: route.with_state(state), about, open, repeatable }
    }

    pub(crate) fn described(&self) -> Described {
        let Self { method, path, about, open, repeatable, .. } = self;
        Described { method: method.clone(), path, about: *about, open: *open, repeatable: *repeatable }
    }
}

/// The routes of these operations and of their description.
pub(crate) fn routes<B: Backend>(operations: Vec<Operation>, engine: &Arc<Engine<B>>, auth: &Auth) -> Router {
    let operations = with_description(operations);
    let (mut open, mut closed) = (Router::new(), Router::new());
    for operation in operations {
        let Operation { path, route, open: for_all, repeatable, .. } = operation;
        let route: MethodRouter<(), Infallible> =
            if repeatable { route.layer(from_fn_with_state(Arc::clone(engine), idempotency::once::<B>)) } else { route };
        if for_all {
            open = open.route(path, route);
        } else {
            closed = closed.route(path, route);
        }
    }
    protected(closed, auth).merge(open)
}

/// The same operations and `GET /openapi.json`, which describes itself too.
fn with_description(mut operations: Vec<Operation>) -> Vec<Operation> {
    let mut rows: Vec<Described> = operations.iter().map(Operation::described).collect();
    let row = description_of_itself();
    rows.push(row);
    let (rows, told) = (Arc::new(rows), Arc::new(OnceLock::<Bytes>::new()));
    let read = move |Extension(_): Extension<Caller>, uri: Uri| async move {
        Parameters::read(&uri, &[]).finish()?;
        let told = told.get_or_init(|| document(&rows).to_string().into()).clone();
        let mut answer = told.into_response();
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok::<Response, Problem>(answer)
    };
    operations.push(Operation::new(Method::GET, "/openapi.json", read, paths::service::openapi));
    operations
}

/// The row of `GET /openapi.json` as the description knows it.
pub(crate) fn description_of_itself() -> Described {
    Described { method: Method::GET, path: "/openapi.json", about: paths::service::openapi, open: false, repeatable: false }
}
