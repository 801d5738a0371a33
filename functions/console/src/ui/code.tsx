/** A text editor. It lives in a shadow root: there its styles are constructed sheets, which the content security policy lets through. */
import { autocompletion, type CompletionContext, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { bracketMatching, defaultHighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState, type Extension } from "@codemirror/state";
import { EditorView, keymap, lineNumbers } from "@codemirror/view";
import { useEffect, useRef } from "react";
import type { Macros } from "../api/types";
import { suggest } from "../lib/template";
import { useIsDark } from "./scheme";

interface CodeProps {
  label: string;
  value: string;
  change: (text: string) => void;
  language?: "json";
  macros?: Macros | undefined;
  isAdmin?: boolean;
}

function theme(dark: boolean): Extension {
  const colours = dark ? { text: "#e6eaee", back: "#12161a", gutter: "#93a0ac" } : { text: "#17202a", back: "#ffffff", gutter: "#5f6a75" };
  return EditorView.theme(
    {
      "&": { color: colours.text, backgroundColor: colours.back, fontSize: "0.8125rem", maxHeight: "30rem" },
      "&.cm-focused": { outline: "none" },
      ".cm-scroller": { fontFamily: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace', minHeight: "6rem" },
      ".cm-gutters": { color: colours.gutter, backgroundColor: colours.back, border: "none" },
      ".cm-content": { caretColor: colours.text },
      ".cm-tooltip": { color: colours.text, backgroundColor: colours.back, border: `1px solid ${colours.gutter}` },
    },
    { dark },
  );
}

/** Offers macros behind a brace and modifiers behind a bar. */
function completions(macros: Macros, isAdmin: boolean) {
  return (context: CompletionContext) => {
    const line = context.state.doc.lineAt(context.pos);
    const found = suggest(line.text, context.pos - line.from, macros, isAdmin);
    if (!found) return null;
    return { from: line.from + found.from, filter: false, options: found.options.map((option) => ({ label: option.name, apply: option.insert, detail: option.example, info: option.hint })) };
  };
}

export default function CodeEditor({ label, value, change, language, macros, isAdmin = false }: CodeProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const latest = useRef(change);
  latest.current = change;
  const first = useRef(value);
  first.current = value;
  const dark = useIsDark();
  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const root = element.shadowRoot ?? element.attachShadow({ mode: "open" });
    const created = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: first.current,
        extensions: [
          lineNumbers(),
          history(),
          bracketMatching(),
          EditorView.lineWrapping,
          ...(language === "json" ? [json(), ...(dark ? [] : [syntaxHighlighting(defaultHighlightStyle)])] : []),
          ...(macros ? [autocompletion({ override: [completions(macros, isAdmin)], icons: false })] : []),
          // Tab leaves the editor, as it leaves every other field.
          keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap]),
          theme(dark),
          EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) latest.current(update.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = created;
    return () => {
      view.current = null;
      created.destroy();
    };
  }, [dark, label, language, macros, isAdmin]);
  useEffect(() => {
    const current = view.current;
    if (current && current.state.doc.toString() !== value) current.dispatch({ changes: { from: 0, to: current.state.doc.length, insert: value } });
  }, [value]);
  return <div className="editorHost" ref={host} />;
}
