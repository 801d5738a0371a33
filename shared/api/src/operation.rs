//! The rows of the table of operations: method, path, handler and description. Router and description are made of the same rows,
//! so that neither can have an operation that the other lacks.
//!
//! A program that serves a description made before keeps no texts ([`NoAbout`]), and so has none of the code that makes them.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    handler::Handler,
    http::{HeaderValue, Method, Uri, header::CONTENT_TYPE},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use tracking_core::caller::Caller;
use tracking_engine::{Engine, backend::Backend};

use crate::{
    auth::{Auth, protected},
    body::{DEFAULT_MAX_BYTES, MaxBytes},
    idempotency,
    openapi::{About, AboutFn, Described, paths},
    problem::Problem,
    query::Parameters,
    share::{self, Shares},
};

/// The path of the description.
const ITS_PATH: &str = "/openapi.json";

/// An empty description, for a program that serves a description made before.
pub(crate) struct NoAbout;

impl From<AboutFn> for NoAbout {
    fn from(_: AboutFn) -> Self {
        Self
    }
}

/// A row of the table; `S` is the state of its handler, `A` the kept part of its description.
pub struct Operation<S = (), A = AboutFn> {
    method: Method,
    path: &'static str,
    route: MethodRouter<S>,
    about: A,
    open: bool,
    repeatable: bool,
    reads_much: bool,
    max_bytes: usize,
}

impl<S: Clone + Send + Sync + 'static, A> Operation<S, A> {
    /// An operation for callers with a token. A POST may be repeated with an `Idempotency-Key`.
    ///
    /// # Panics
    /// If a router has no such method.
    pub fn new<H, T>(method: Method, path: &'static str, handler: H, about: fn() -> About) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
        A: From<fn() -> About>,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("the table names methods that routers know");
        let repeatable = method == Method::POST;
        let route = on(filter, handler);
        let (open, reads_much, max_bytes) = (false, false, DEFAULT_MAX_BYTES);
        Self { method, path, route, about: about.into(), open, repeatable, reads_much, max_bytes }
    }

    /// The same for everybody, with or without a token.
    #[must_use]
    pub fn open(self) -> Self {
        Self { open: true, ..self }
    }

    /// The same, but it changes nothing, or remembers by itself what it did before: it needs no key of the caller's.
    #[must_use]
    pub fn without_key(self) -> Self {
        Self { repeatable: false, ..self }
    }

    /// The same, but it may read very many rows: of one affiliate one such request is worked at a time.
    #[must_use]
    pub fn reading_much(self) -> Self {
        Self { reads_much: true, ..self }
    }

    /// The same with bodies of at most so many bytes; 64 KiB unless set otherwise.
    #[must_use]
    pub fn with_most_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes, ..self }
    }

    /// The same, with the state of its handler.
    pub fn with(self, state: S) -> Operation<(), A> {
        let Self { method, path, route, about, open, repeatable, reads_much, max_bytes } = self;
        Operation { method, path, route: route.with_state(state), about, open, repeatable, reads_much, max_bytes }
    }
}

impl<S> Operation<S> {
    fn described(&self) -> Described {
        let Self { method, path, about, open, repeatable, max_bytes, .. } = self;
        Described { method: method.clone(), path, about: *about, open: *open, repeatable: *repeatable, max_bytes: *max_bytes }
    }
}

/// The routes of these operations, and of a description that is there when it is first asked for.
pub(crate) fn routes<B: Backend, A: From<AboutFn>>(
    mut operations: Vec<Operation<(), A>>,
    description: impl Fn() -> Bytes + Clone + Send + Sync + 'static,
    engine: &Arc<Engine<B>>,
    auth: &Auth,
) -> Router {
    let read = move |Extension(_): Extension<Caller>, uri: Uri| async move {
        Parameters::read(&uri, &[]).finish()?;
        let mut answer = description().into_response();
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok::<Response, Problem>(answer)
    };
    operations.push(Operation::new(Method::GET, ITS_PATH, read, paths::service::openapi));
    let (mut open, mut closed) = (Router::new(), Router::new());
    let shares = Shares::default();
    for operation in operations {
        let Operation { path, route, open: for_all, repeatable, reads_much, max_bytes, .. } = operation;
        let route: MethodRouter<(), Infallible> =
            if repeatable { route.layer(from_fn_with_state(Arc::clone(engine), idempotency::once::<B>)) } else { route };
        let route: MethodRouter<(), Infallible> =
            if reads_much { route.layer(from_fn_with_state(shares.clone(), share::in_turn)) } else { route };
        let route: MethodRouter<(), Infallible> = route.layer(DefaultBodyLimit::max(max_bytes));
        let route: MethodRouter<(), Infallible> = route.layer(Extension(MaxBytes(max_bytes)));
        if for_all && path.contains('{') {
            open = open.route(path, route.layer(from_fn(share::outside)));
        } else if for_all {
            open = open.route(path, route);
        } else {
            closed = closed.route(path, route);
        }
    }
    protected(closed.route_layer(from_fn_with_state(shares, share::within)), auth).merge(open)
}

/// The descriptions of these operations, and of the one that answers with the description.
pub(crate) fn described<S>(operations: &[Operation<S>]) -> Vec<Described> {
    let itself = Described {
        method: Method::GET,
        path: ITS_PATH,
        about: paths::service::openapi,
        open: false,
        repeatable: false,
        max_bytes: DEFAULT_MAX_BYTES,
    };
    operations.iter().map(Operation::described).chain([itself]).collect()
}
