/** Rules in words. */
import type { Owner, Rule } from "../api/types";
import { texts } from "../texts";

/** The flag of a country's two letters; nothing for anything else. */
export function flag(country: string): string {
  if (!/^[A-Za-z]{2}$/.test(country)) return "";
  return String.fromCodePoint(...[...country.toUpperCase()].map((letter) => 0x1f1a5 + letter.charCodeAt(0)));
}

export function ownerName(owner: Owner): string {
  return owner.kind === "admin" ? texts.admin : (owner.affiliate_id ?? texts.affiliate);
}

/** The conditions of a rule in words, a phrase for each that is not All. */
export function conditionsInWords({ conditions, owner }: Pick<Rule, "conditions" | "owner">): string[] {
  const words: string[] = [];
  for (const key of ["conversion_type", "source", "included_offers", "excluded_offers", "affiliate", "advertiser", "integration", "channel", "commission"] as const) {
    const values: readonly string[] = conditions[key] ?? [];
    // An affiliate's rule is about that affiliate anyway.
    if (values.length === 0 || (key === "affiliate" && values.length === 1 && values[0] === owner.affiliate_id)) continue;
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
