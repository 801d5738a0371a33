/** The session: a token in memory and in this tab's sessionStorage, with the role and the affiliate that it names. */

export interface Session {
  token: string;
  role: "admin" | "affiliate";
  affiliateId: string | null;
}

export interface Config {
  sign_in: { issuer: string; client_id: string; scopes: string } | null;
  role_claim: string;
  affiliate_claim: string;
}

const KEY = "tracking-console-token";

/** The claims of a token. Nothing is checked here: the API does that with every request. */
export function claims(token: string): Record<string, unknown> | null {
  try {
    const part = token.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
    const read: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof read === "object" && read !== null ? (read as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** The session of a token, or null if the console can't be used with the token. */
export function sessionOf(token: string, config: Config): Session | null {
  const read = claims(token);
  if (!read) return null;
  const role = read[config.role_claim];
  const affiliate = read[config.affiliate_claim];
  if (role === "admin") return { token, role, affiliateId: null };
  if (role === "affiliate" && typeof affiliate === "string") return { token, role, affiliateId: affiliate };
  return null;
}

type Listener = () => void;

class SessionStore {
  #session: Session | null = null;
  #note: string | null = null;
  readonly #listeners = new Set<Listener>();

  readonly current = (): Session | null => this.#session;
  /** The reason for the end of the last session. */
  readonly note = (): string | null => this.#note;

  readonly subscribe = (listener: Listener): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  begin(session: Session): void {
    sessionStorage.setItem(KEY, session.token);
    this.#set(session, null);
  }

  end(note: string | null): void {
    sessionStorage.removeItem(KEY);
    if (this.#session) this.#set(null, note);
  }

  #set(session: Session | null, note: string | null): void {
    this.#session = session;
    this.#note = note;
    for (const listener of this.#listeners) listener();
  }
}

export const session = new SessionStore();

/** The token of this tab: that of the link that opened it, or that of before a reload. The address bar shows it no longer. */
export function takeToken(): string | null {
  const linked = new URLSearchParams(window.location.hash.slice(1)).get("token");
  if (linked !== null) {
    window.history.replaceState(null, "", window.location.pathname + window.location.search);
    sessionStorage.setItem(KEY, linked);
  }
  return linked ?? sessionStorage.getItem(KEY);
}
