/** Rules in words. */
import type { Owner, Rule } from "../api/types";
import { texts } from "../texts";

/** The flag of a country's two letters; a globe for anything else. */
export function flag(country: string): string {
  if (!/^[A-Za-z]{2}$/.test(country)) return "🌐";
  return String.fromCodePoint(...[...country.toUpperCase()].map((letter) => 0x1f1a5 + letter.charCodeAt(0)));
}

export function ownerName(owner: Owner): string {
  return owner.kind === "admin" ? texts.admin : (owner.affiliate_id ?? texts.affiliate);
}

/** What a rule is about, a phrase for each condition that is not All. */
export function conditionsInWords(conditions: Rule["conditions"]): string[] {
  const words: string[] = [];
  for (const key of ["conversion_type", "source", "included_offers", "excluded_offers", "affiliate", "advertiser", "integration", "channel", "commission"] as const) {
    const values: readonly string[] = conditions[key] ?? [];
    if (values.length === 0) continue;
    const shown = values.slice(0, 3).join(", ");
    words.push(`${texts.conditions[key].short} ${shown}${values.length > 3 ? ` ${texts.more(values.length - 3)}` : ""}`);
  }
  const result = conditions.result;
  if (Array.isArray(result)) words.push(`${texts.conditions.result.short} ${result.join(", ")}`);
  if (result === "all") words.push(texts.conditions.result.all);
  return words;
}

/** The host of a template URL; the template itself where it has none yet. */
export function hostOf(url: string): string {
  return /^https?:\/\/([^/?#]+)/i.exec(url)?.[1] ?? url;
}
