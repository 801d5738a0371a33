/** The API's resources by their short names. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Rule = Schemas["TrackingApi"];
export type RulePage = Schemas["TrackingApiPage"];
export type NewRule = Schemas["NewTrackingApi"];
export type Delivery = Schemas["Delivery"];
export type DeliveryWithLog = Schemas["DeliveryWithLog"];
export type Attempt = Schemas["Attempt"];
export type SentRequest = Schemas["SentRequest"];
export type Trial = Schemas["Trial"];
export type MacroUse = Schemas["MacroUse"];
export type Macros = Schemas["Macros"];
export type Preset = Schemas["Preset"];
export type Problem = Schemas["Problem"];
export type Fault = Schemas["Fault"];
export type Health = Schemas["Health"];
export type HistoryEntry = Schemas["HistoryEntry"];
export type ReplayRun = Schemas["ReplayRun"];
export type Offer = Schemas["Offer"];
export type Quota = Schemas["Quota"];
export type Stats = Schemas["Statistics"];
export type Rejected = Schemas["Rejected"];
export type Verdict = Schemas["Verdict"];
export type Schedule = Schemas["Schedule"];
export type Owner = Schemas["Owner"];
export type Event = Schemas["EventOrEnvelope"];
export type Internals = Schemas["DeliveryInternals"];
export type Explanation = Schemas["Explanation"];
export type ConversionExplanation = Schemas["ConversionExplanation"];
type Unreadable = Schemas["Unreadable"];

export type State = Delivery["state"];

/** The entries of a page that this version of the API can read. */
export function readable<T extends object>(items: (T | Unreadable)[]): T[] {
  return items.filter((item): item is T => !("unreadable" in item));
}
