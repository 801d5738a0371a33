/** A rule while it is written: a JSON document that fields read and change by pointers (RFC 6901). */
import type { NewRule, Preset, Rule } from "../api/types";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

function steps(pointer: string): string[] {
  return pointer === "" ? [] : pointer.slice(1).split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

export function get(document: unknown, pointer: string): unknown {
  return steps(pointer).reduce<unknown>((value, step) => (typeof value === "object" && value !== null ? (value as Record<string, unknown>)[step] : undefined), document);
}

/** The same document with another value at a pointer; `undefined` removes the entry. Missing objects on the way are made. */
export function set<T>(document: T, pointer: string, value: unknown): T {
  const [step, ...rest] = steps(pointer);
  if (step === undefined) return value as T;
  const below = rest.length > 0 ? set(get(document, `/${escape(step)}`), `/${rest.map(escape).join("/")}`, value) : value;
  if (Array.isArray(document)) {
    const copy: unknown[] = [...document];
    if (below === undefined) copy.splice(Number(step), 1);
    else copy[Number(step)] = below;
    return copy as T;
  }
  const copy: Record<string, unknown> = { ...(document as Record<string, unknown> | null | undefined) };
  if (below === undefined) delete copy[step];
  else copy[step] = below;
  return copy as T;
}

export function escape(step: string): string {
  return step.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** A request of a rule, with the step that sends it if the rule has steps. */
export type SentBy = { step: string | null; request: NonNullable<Rule["request"]> };

/** The requests of a rule: its one, or those of its steps in order. */
export function requestsOf(rule: Rule): SentBy[] {
  if (rule.request) return [{ step: null, request: rule.request }];
  return (rule.steps ?? []).flatMap((step) => ("call" in step ? [{ step: step.name, request: step.call }] : []));
}

/** The fields of a rule that the server sets. */
const serverSet = ["id", "version", "health", "schedule", "warnings", "created_at", "updated_at", "country", "category", "secrets", "inactive_reason", "locked_by_admin"] as const;

/** A saved rule as a draft of its next version. */
export function draftOf(rule: Rule): NewRule {
  const draft: Record<string, unknown> = { ...rule };
  for (const name of serverSet) delete draft[name];
  // A rule that waits for a secret or a placeholder reads inactive and turns active by itself: saying so would keep it off.
  if (rule.inactive_reason) delete draft["active"];
  return draft as NewRule;
}

export const emptyDraft: NewRule = { name: "", request: { url: "https://" } };

/** A preset with what was filled in so far; a placeholder whose field is empty stays. */
export function filled(draft: NewRule, fields: Preset["fill_in"], values: Readonly<Record<string, string>>): NewRule {
  return fields.reduce((document, { pointer, placeholder }) => {
    const text = get(document, pointer);
    const value = values[placeholder]?.trim();
    return typeof text === "string" && value ? set(document, pointer, text.replaceAll(placeholder, () => value)) : document;
  }, draft);
}

/** The names of the secrets that a draft uses, in the order of the alphabet. */
export function secretsOf(draft: NewRule): string[] {
  const found = new Set<string>();
  for (const match of JSON.stringify(draft).matchAll(/\{secret\.([A-Za-z0-9_-]+)/g)) if (match[1]) found.add(match[1]);
  const signing = get(draft, "/signing/secret");
  if (typeof signing === "string" && signing !== "") found.add(signing);
  return [...found].sort();
}
