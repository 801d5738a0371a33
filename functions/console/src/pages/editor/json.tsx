/** The whole rule as JSON, with the fields that the form does not show. */
import { useState } from "react";
import type { NewRule } from "../../api/types";
import { texts } from "../../texts";
import CodeEditor from "../../ui/code";
import { useDraft } from "./state";

export default function JsonView() {
  const { draft, replace } = useDraft();
  const [text, setText] = useState(() => JSON.stringify(draft, null, 2));
  const [fault, setFault] = useState<string | null>(null);
  const change = (next: string) => {
    setText(next);
    try {
      const read: unknown = JSON.parse(next);
      if (typeof read !== "object" || read === null || Array.isArray(read)) throw new Error(texts.editor.notAnObject);
      replace(read as NewRule);
      setFault(null);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <fieldset className="panel">
      <legend>{texts.editor.views.json}</legend>
      <p className="small dim">{texts.editor.jsonHint}</p>
      <CodeEditor label={texts.editor.views.json} language="json" value={text} change={change} />
      {fault !== null && (
        <p className="notice bad" role="alert">
          {fault}
        </p>
      )}
    </fieldset>
  );
}
