/** Templates: texts with macros in braces. */
import type { Macros, MacroUse } from "../api/types";

export type Piece = { text: string } | { macro: string };

/** The parts of a template; `{{` and `}}` are literal braces. */
export function pieces(template: string): Piece[] {
  const found: Piece[] = [];
  let text = "";
  for (let at = 0; at < template.length; at += 1) {
    const char = template[at] ?? "";
    const doubled = template[at + 1] === char;
    if ((char === "{" || char === "}") && doubled) {
      text += char;
      at += 1;
    } else if (char === "{" && template.indexOf("}", at) > at) {
      const end = template.indexOf("}", at);
      if (text !== "") found.push({ text });
      text = "";
      found.push({ macro: template.slice(at, end + 1) });
      at = end;
    } else {
      text += char;
    }
  }
  if (text !== "") found.push({ text });
  return found;
}

/** The use of a macro at a place. */
export function useAt(uses: readonly MacroUse[], place: string, macro: string): MacroUse | undefined {
  return uses.find((use) => use.place === place && use.macro === macro);
}

export interface Suggestion {
  /** The text that is inserted. */
  insert: string;
  name: string;
  hint: string;
  example: string;
}

/** Returns the suggestions for a caret: macros behind a brace, modifiers behind a bar. */
export function suggest(text: string, caret: number, macros: Macros, isAdmin: boolean): { from: number; options: Suggestion[] } | null {
  const from = text.lastIndexOf("{", caret - 1);
  if (from < 0 || text.slice(from, caret).includes("}")) return null;
  const typed = text.slice(from + 1, caret);
  const bar = typed.lastIndexOf("|");
  if (bar >= 0) {
    const word = typed.slice(bar + 1).toLowerCase();
    const fits = macros.modifiers.filter((modifier) => modifier.name.startsWith(word) && !word.includes(":"));
    const options = fits.map((modifier) => ({ insert: modifier.argument === "" ? modifier.name : `${modifier.name}:`, name: modifier.argument === "" ? modifier.name : `${modifier.name}:${modifier.argument}`, hint: modifier.description, example: `${modifier.example} → ${modifier.gives}` }));
    return options.length > 0 ? { from: from + 1 + bar + 1, options } : null;
  }
  const word = typed.toLowerCase();
  const known = macros.macros.filter((macro) => !macro.answer_only && (isAdmin || !macro.admins_only));
  const rank = (macro: (typeof known)[number]) => (macro.name.startsWith(word) ? 0 : macro.name.includes(word) || macro.aliases.some((alias) => alias.includes(word)) ? 1 : 2);
  const fits = known.filter((macro) => rank(macro) < 2).sort((one, other) => rank(one) - rank(other));
  const options = fits.slice(0, 30).map((macro) => ({ insert: `{${macro.name}}`, name: macro.name, hint: macro.description, example: macro.gives }));
  return options.length > 0 ? { from, options } : null;
}
