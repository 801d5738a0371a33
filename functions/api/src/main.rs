//! The Lambda function `api`: the HTTP API behind API Gateway, whose authorizer has checked the token.

use std::sync::Arc;

use lambda_http::{Error, Request, RequestExt as _, lambda_runtime::tower::ServiceBuilder, request::RequestContext, run};
use tracking_aws::{Settings, Stack};
use tracking_http_api::{
    auth::{Auth, CheckedClaims, ClaimNames},
    console::{Console, SignIn},
};

/// The description of the API, without its layout.
const DESCRIPTION: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json"));

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let stack = Stack::start()?;
    let names = ClaimNames { role: stack.settings.role_claim.clone(), affiliate: stack.settings.affiliate_claim.clone() };
    let sender = stack.sender()?;
    let console = Console { sign_in: sign_in(&stack.settings), claims: names.clone() };
    let router = tracking_http_api::router(Arc::new(stack.engine), sender, &Auth::Gateway(names), DESCRIPTION, &console);
    run(ServiceBuilder::new().map_request(with_claims).service(router)).await
}

/// The console's client at the issuer, if it has one.
fn sign_in(settings: &Settings) -> Option<SignIn> {
    (!settings.console_client_id.is_empty()).then(|| SignIn {
        issuer: settings.jwt_issuer.clone(),
        client_id: settings.console_client_id.clone(),
        scopes: settings.console_scopes.clone(),
        origins: settings.console_origins.clone(),
    })
}

/// Adds to the request the claims that the authorizer found in its token, if there was one.
fn with_claims(mut request: Request) -> Request {
    let claims = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => {
            let jwt = context.authorizer.as_ref().and_then(|authorizer| authorizer.jwt.as_ref());
            jwt.map(|jwt| CheckedClaims::of_texts(&jwt.claims))
        }
        _ => None,
    };
    if let Some(claims) = claims {
        request.extensions_mut().insert(claims);
    }
    request
}
