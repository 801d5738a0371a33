/** A long template: the body of a request as text, with macros offered. */
import { useMacros, useSession } from "../../api/queries";
import CodeEditor from "../../ui/code";
import { FieldFault } from "./fields";
import { useDraft } from "./state";

export default function CodeField({ pointer, label }: { pointer: string; label: string }) {
  const { at, set, fault } = useDraft();
  const macros = useMacros().data;
  const isAdmin = useSession().role === "admin";
  const value = at(pointer);
  const own = fault(pointer, true);
  return (
    <div className="stack tight">
      <span className="small strong">{label}</span>
      <CodeEditor label={label} value={typeof value === "string" ? value : ""} change={(text) => set(pointer, text)} macros={macros} isAdmin={isAdmin} />
      {own && <FieldFault text={own} />}
    </div>
  );
}
