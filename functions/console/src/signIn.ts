/** Signing in at an OpenID Connect issuer: authorization code with PKCE. Loaded only where the configuration names an issuer. */
import { UserManager, WebStorageStateStore } from "oidc-client-ts";
import { type Config, type Session, sessionOf } from "./session";

function manager(config: Config): UserManager {
  if (!config.sign_in) throw new Error("the configuration names no issuer");
  const { issuer, client_id, scopes } = config.sign_in;
  const store = new WebStorageStateStore({ store: window.sessionStorage });
  return new UserManager({
    authority: issuer,
    client_id,
    redirect_uri: `${window.location.origin}/console/signed-in`,
    response_type: "code",
    scope: scopes,
    stateStore: store,
    userStore: store,
    automaticSilentRenew: false,
  });
}

/** Leaves for the issuer's page; it comes back to `/console/signed-in`. */
export async function leave(config: Config): Promise<void> {
  await manager(config).signinRedirect({ state: window.location.pathname });
}

/** The session that the issuer's answer in the address gives, and the page that asked for it. */
export async function arrive(config: Config): Promise<{ session: Session | null; page: string }> {
  const users = manager(config);
  const user = await users.signinRedirectCallback();
  await users.removeUser();
  // Issuers put the role into one of the two: Cognito into the ID token, others into the access token.
  const tokens = [user.access_token, user.id_token].filter((token): token is string => typeof token === "string");
  const found = tokens.map((token) => sessionOf(token, config)).find((session) => session !== null);
  const page = typeof user.state === "string" && user.state.startsWith("/console") ? user.state : "/console/";
  return { session: found ?? null, page };
}
