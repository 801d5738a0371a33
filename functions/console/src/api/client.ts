/** The API as the console asks it: typed by its own description, with the session's token, problems as errors. */
import createClient, { type Middleware } from "openapi-fetch";
import { session } from "../session";
import { texts } from "../texts";
import type { paths } from "./schema";
import type { Fault, Problem } from "./types";

/** A response that is no success. */
export class ApiFault extends Error {
  readonly status: number;
  readonly faults: Fault[];
  /** The seconds to wait before asking again, if the API named them. */
  readonly retryAfter: number | null;

  constructor(status: number, problem: Partial<Problem>, retryAfter: number | null) {
    super(problem.detail ?? problem.title ?? texts.errors.status(status));
    this.status = status;
    this.faults = problem.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

async function fault(response: Response): Promise<ApiFault> {
  const text = await response.text();
  const retryAfter = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  let problem: Partial<Problem> = {};
  try {
    const read: unknown = JSON.parse(text);
    if (typeof read === "object" && read !== null) problem = read;
  } catch {
    // A gateway between us and the API answers in words of its own: its status says enough.
  }
  return new ApiFault(response.status, problem, Number.isNaN(retryAfter) ? null : retryAfter);
}

const middleware: Middleware = {
  onRequest({ request }) {
    const token = session.current()?.token;
    if (token) request.headers.set("authorization", `Bearer ${token}`);
    return request;
  },
  async onResponse({ response }) {
    if (response.ok) return response;
    if (response.status === 401) session.end(texts.signIn.ended);
    throw await fault(response);
  },
  onError({ error }) {
    return new Error(texts.errors.unreachable, { cause: error });
  },
};

export const api = createClient<paths>({ baseUrl: window.location.origin });
api.use(middleware);

/** The content of a successful response in JSON; middleware throws all others. A text is what the same operation answers as CSV. */
export async function content<T>(answer: Promise<{ data?: T }>): Promise<Exclude<T, string>> {
  const { data } = await answer;
  return data as Exclude<T, string>;
}

/** Asks for a path that the description does not have, or for another format than JSON. */
export async function ask(path: string, accept: string): Promise<Response> {
  const token = session.current()?.token ?? "";
  const response = await fetch(new URL(path, window.location.origin), { headers: { accept, authorization: `Bearer ${token}` } }).catch((cause: unknown) => {
    throw new Error(texts.errors.unreachable, { cause });
  });
  if (response.ok) return response;
  if (response.status === 401) session.end(texts.signIn.ended);
  throw await fault(response);
}
