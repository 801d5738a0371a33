//! The caller: the claims of a bearer token (docs/api.md).
//!
//! `role` is `admin` or `affiliate`, and `affiliate_id` names the latter. A token that is missing, expired or not ours is answered with
//! 401, one whose role or affiliate can't be read with 403. The engine decides what a caller may see.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{Extensions, HeaderMap, header::AUTHORIZATION},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use tracking_core::{
    caller::{Actor, Caller},
    id::Id,
    json,
    json::{Map, Value},
};

use crate::problem::{Kind, NeedsUnreadableRow, Problem};

/// The audience that a token must name.
const AUDIENCE: &str = "tracking-api";
/// The issuer of the tokens of a local server.
const LOCAL_ISSUER: &str = "tracking-local";

/// The way in which callers are identified.
#[derive(Debug, Clone)]
pub enum Auth {
    /// The server checks tokens itself, with a key of its own.
    Local(LocalTokens),
    /// A gateway has checked the token: its claims come with the request, as [`CheckedClaims`].
    Gateway(ClaimNames),
}

/// The names of a token's claims, for an issuer whose claims can't be renamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// The claim that says `admin` or `affiliate`.
    pub role: String,
    /// The claim that names an affiliate.
    pub affiliate: String,
}

/// The claims of a token that a gateway has checked, an extension of the request. The server of a router with [`Auth::Gateway`] sets it,
/// and nobody else can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedClaims(pub Map);

impl CheckedClaims {
    /// Claims whose values are texts, as API Gateway gives them.
    pub fn of_texts<'a>(claims: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        Self(claims.into_iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect())
    }
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self { role: "role".to_owned(), affiliate: "affiliate_id".to_owned() }
    }
}

impl Auth {
    /// Returns the caller and the token's subject.
    fn actor(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Actor, Problem> {
        match self {
            Self::Local(tokens) => actor(&tokens.verify(bearer(headers)?)?, &ClaimNames::default()),
            Self::Gateway(names) => match extensions.get::<CheckedClaims>() {
                Some(CheckedClaims(claims)) => actor(claims, names),
                None => Err(bad_token("no token was checked for this request")),
            },
        }
    }
}

/// Tokens of a local server: made and checked with one key (HS256).
#[derive(Clone)]
pub struct LocalTokens {
    key: Arc<(EncodingKey, DecodingKey)>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl fmt::Debug for LocalTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalTokens")
    }
}

impl LocalTokens {
    /// Tokens of this key; `now` is the time by which they expire.
    pub fn new(key: &[u8; 32], now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { key: Arc::new((EncodingKey::from_secret(key), DecodingKey::from_secret(key))), now: Arc::new(now) }
    }

    /// A token for this caller that counts until `expires`.
    pub fn mint(&self, caller: &Caller, expires: Timestamp) -> String {
        let mut claims = json!({"iss": LOCAL_ISSUER, "aud": AUDIENCE, "exp": expires.as_second()});
        match caller {
            Caller::Admin => claims["role"] = "admin".into(),
            Caller::Affiliate(id) => {
                claims["role"] = "affiliate".into();
                claims["affiliate_id"] = id.as_str().into();
            }
        }
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.key.0)
            .expect("texts and numbers have no failing serializers, and any key will do for HMAC")
    }

    /// The claims of a token that is ours and has not expired.
    fn verify(&self, token: &str) -> Result<Map, Problem> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[LOCAL_ISSUER]);
        // The time is judged below, by our own clock.
        validation.set_required_spec_claims(&["aud", "iss"]);
        validation.validate_exp = false;
        let not_ours = || bad_token("the token is not one of this server: make one with `tracking token`");
        let decoded = jsonwebtoken::decode::<Value>(token, &self.key.1, &validation).map_err(|_| not_ours())?;
        let Value::Object(claims) = decoded.claims else { return Err(not_ours()) };
        let now = (self.now)().as_second();
        let second = |name: &str| claims.get(name).map(|value| value.as_i64().ok_or(()));
        match second("exp") {
            Some(Ok(expires)) if expires > now => {}
            Some(Ok(_)) => return Err(bad_token("the token has expired: make a new one with `tracking token`")),
            _ => return Err(bad_token("the token does not say when it expires: exp in unix seconds is needed")),
        }
        match second("nbf") {
            None => Ok(claims),
            Some(Ok(begins)) if begins <= now => Ok(claims),
            Some(_) => Err(bad_token("the token does not count yet")),
        }
    }
}

/// An extension of a request: the server of a connection notes its last caller here.
#[derive(Debug, Clone, Default)]
pub struct LastCaller(Arc<AtomicU64>);

impl LastCaller {
    /// A number for the last caller whose token was good, the same for all of its connections; 0: there was none.
    pub fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes a caller.
    pub fn set(&self, caller: &Caller) {
        let mut hasher = DefaultHasher::new();
        caller.hash(&mut hasher);
        self.0.store(hasher.finish().max(1), Ordering::Relaxed);
    }
}

/// Returns these routes for callers with a token alone. Handlers find the [`Caller`] in the request's extensions, and the [`Actor`] if
/// they change something that has a history.
pub(crate) fn protected(routes: Router, auth: &Auth) -> Router {
    routes.route_layer(from_fn_with_state(auth.clone(), admit))
}

async fn admit(State(auth): State<Auth>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let actor = auth.actor(request.headers(), request.extensions())?;
    if let Caller::Affiliate(id) = &actor.caller {
        tracing::Span::current().record("affiliate_id", id.as_str());
    }
    if let Some(last) = request.extensions().get::<LastCaller>() {
        last.set(&actor.caller);
    }
    let names_object = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str().contains('{'));
    let sees_all = actor.caller == Caller::Admin;
    request.extensions_mut().insert(actor.caller.clone());
    request.extensions_mut().insert(actor);
    let response = next.run(request).await;
    // The owner of an unreadable object is not known: it may be another affiliate's (V2).
    if names_object && !sees_all && response.extensions().get::<NeedsUnreadableRow>().is_some() {
        return Err(Problem::not_found());
    }
    Ok(response)
}

/// The token of the `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        return Err(Problem::unauthorized("Bearer", "no token: send the header Authorization: Bearer TOKEN"));
    };
    let scheme_and_token = value.to_str().ok().and_then(|text| text.split_once(' '));
    match scheme_and_token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && given.next().is_none() => Ok(token.trim()),
        _ => Err(bad_token("the Authorization header can't be read: send one, as Bearer TOKEN")),
    }
}

fn bad_token(detail: &str) -> Problem {
    Problem::unauthorized("Bearer error=\"invalid_token\"", detail)
}

/// The actor of checked claims: the caller, and the token's subject.
fn actor(claims: &Map, names: &ClaimNames) -> Result<Actor, Problem> {
    Ok(Actor::new(caller(claims, names)?, claims.get("sub").and_then(Value::as_str)))
}

/// The caller that checked claims name.
fn caller(claims: &Map, names: &ClaimNames) -> Result<Caller, Problem> {
    match claims.get(&names.role).and_then(Value::as_str) {
        Some("admin") => Ok(Caller::Admin),
        Some("affiliate") => {
            let id = claims.get(&names.affiliate).and_then(Value::as_str).and_then(|id| id.parse::<Id>().ok());
            id.map(Caller::Affiliate).ok_or_else(|| {
                Problem::new(
                    Kind::Forbidden,
                    "the token's affiliate_id is not an id: 1 to 128 characters of A-Z a-z 0-9 . _ : - are allowed",
                )
            })
        }
        _ => Err(Problem::new(Kind::Forbidden, "the token's role is not known: admin and affiliate are")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn tokens(key: u8) -> LocalTokens {
        LocalTokens::new(&[key; 32], || at("2026-11-22T09:00:00Z"))
    }

    fn signed(claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &tokens(1).key.0).unwrap()
    }

    #[track_caller]
    fn check(what: &str, authorization: Option<&str>, expected: &Result<Caller, (u16, &str)>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        let found = Auth::Local(tokens(1)).actor(&headers, &Extensions::new());
        let found = found
            .map(|actor| actor.caller)
            .map_err(|problem| (problem.kind().status().as_u16(), problem.challenge().unwrap_or_default()));
        assert_eq!(&found, expected, "{what}");
    }

    #[test]
    fn tokens_name_their_callers() {
        let affiliate = Caller::Affiliate("aff_7".parse().unwrap());
        let later = at("2026-11-22T09:00:01Z");
        check("an admin's", Some(&format!("Bearer {}", tokens(1).mint(&Caller::Admin, later))), &Ok(Caller::Admin));
        check("an affiliate's", Some(&format!("bearer  {}", tokens(1).mint(&affiliate, later))), &Ok(affiliate.clone()));
    }

    #[test]
    fn without_a_valid_token_there_is_no_caller() {
        let invalid = Err((401, "Bearer error=\"invalid_token\""));
        let now = at("2026-11-22T09:00:00Z");
        let later = at("2026-11-22T10:00:00Z");
        check("none", None, &Err((401, "Bearer")));
        check("another scheme", Some("Basic YTpi"), &invalid);
        check("no text", Some("Bearer"), &invalid);
        check("nonsense", Some("Bearer x.y.z"), &invalid);
        check("expired this second", Some(&format!("Bearer {}", tokens(1).mint(&Caller::Admin, now))), &invalid);
        check("of another key", Some(&format!("Bearer {}", tokens(2).mint(&Caller::Admin, later))), &invalid);
        let unsigned = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4iLCJhdWQiOiJ0cmFja2luZy1hcGkiLCJleHAiOjQxMDI0NDQ4MDB9.";
        check("unsigned", Some(&format!("Bearer {unsigned}")), &invalid);
        for (what, claims) in [
            ("without an expiry", json!({"iss": "tracking-local", "aud": "tracking-api", "role": "admin"})),
            ("with a wordy expiry", json!({"iss": "tracking-local", "aud": "tracking-api", "role": "admin", "exp": "never"})),
            ("for others", json!({"iss": "tracking-local", "aud": "billing", "role": "admin", "exp": 4_102_444_800_u64})),
            ("for nobody", json!({"iss": "tracking-local", "role": "admin", "exp": 4_102_444_800_u64})),
            ("of others", json!({"iss": "else", "aud": "tracking-api", "role": "admin", "exp": 4_102_444_800_u64})),
            (
                "not yet",
                json!({"iss": "tracking-local", "aud": "tracking-api", "role": "admin", "exp": 4_102_444_800_u64,
                       "nbf": 4_102_444_000_u64}),
            ),
        ] {
            check(what, Some(&format!("Bearer {}", signed(&claims))), &invalid);
        }
    }

    #[test]
    fn a_gateway_names_callers_by_the_claims_that_it_checked() {
        let names = ClaimNames { role: "https://example.com/role".to_owned(), affiliate: "custom:affiliate".to_owned() };
        let check = |claims: Option<Value>| {
            let mut extensions = Extensions::new();
            if let Some(Value::Object(claims)) = claims {
                extensions.insert(CheckedClaims(claims));
            }
            let mut headers = HeaderMap::new();
            headers.insert(
                AUTHORIZATION,
                format!("Bearer {}", tokens(1).mint(&Caller::Admin, at("2099-01-01T00:00:00Z"))).parse().unwrap(),
            );
            let found = Auth::Gateway(names.clone()).actor(&headers, &extensions);
            found.map(|actor| actor.caller).map_err(|problem| problem.kind().status().as_u16())
        };
        assert_eq!(check(Some(json!({"https://example.com/role": "admin"}))), Ok(Caller::Admin));
        let affiliate = json!({"https://example.com/role": "affiliate", "custom:affiliate": "aff_7", "affiliate_id": "aff_8"});
        assert_eq!(check(Some(affiliate)), Ok(Caller::Affiliate("aff_7".parse().unwrap())));
        assert_eq!(check(Some(json!({"role": "admin"}))), Err(403), "a claim of another name says nothing");
        assert_eq!(check(None), Err(401), "no header replaces the claims that the gateway checked");
    }

    #[test]
    fn a_token_names_the_actor() {
        let subject = |sub: Value| {
            let claims = json!({"role": "admin", "sub": sub});
            let mut extensions = Extensions::new();
            extensions.insert(CheckedClaims(claims.as_object().unwrap().clone()));
            let actor = Auth::Gateway(ClaimNames::default()).actor(&HeaderMap::new(), &extensions).unwrap();
            actor.subject().map(str::to_owned)
        };
        assert_eq!(subject(json!("user-1")).as_deref(), Some("user-1"));
        assert_eq!(subject(json!("x".repeat(257))), None);
        assert_eq!(subject(json!(7)), None);
        assert_eq!(subject(Value::Null), None);
    }

    #[test]
    fn claims_that_name_nobody_are_forbidden() {
        for claims in [
            json!({"role": "root"}),
            json!({}),
            json!({"role": ["admin"]}),
            json!({"role": "affiliate"}),
            json!({"role": "affiliate", "affiliate_id": "a b"}),
            json!({"role": "affiliate", "affiliate_id": 7}),
        ] {
            let mut all = json!({"iss": "tracking-local", "aud": "tracking-api", "exp": 4_102_444_800_u64});
            all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            check(&claims.to_string(), Some(&format!("Bearer {}", signed(&all))), &Err((403, "")));
        }
    }
}
