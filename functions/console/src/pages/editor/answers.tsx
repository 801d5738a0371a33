/** The answer rules: the meaning of a receiver's responses. */
import { Select, TextInput } from "@mantine/core";
import { useSession } from "../../api/queries";
import { get } from "../../lib/draft";
import { texts } from "../../texts";
import { ChoiceField, MacroField, Rows, TextField } from "./fields";
import { useDraft } from "./state";

const t = texts.editor;
const verdicts = Object.entries(t.then).map(([value, label]) => ({ value, label }));
const sources = Object.entries(t.sources).map(([value, label]) => ({ value, label }));
const operators = Object.entries(t.operators).map(([value, label]) => ({ value, label }));
/** Operators that compare with nothing. */
const alone = new Set(["is_true", "is_false", "is_empty", "is_not_empty", "always"]);
/** Sources that have one value. */
const single = new Set(["http_code"]);

export function AnswerForm() {
  const isAdmin = useSession().role === "admin";
  return (
    <fieldset className="panel">
      <legend>{t.answer}</legend>
      <p className="small dim">{t.answerHint}</p>
      <Rows pointer="/answer/rules" label={t.answerRules} add={t.addAnswerRule} fresh={{ when: [{ source: "http_code", operator: "equals", value: "200" }], then: "delivered" }}>
        {(pointer, index, remove) => (
          <div className="sub">
            <div className="row apart">
              <span className="strong">{t.answerRule(index + 1)}</span>
              {remove}
            </div>
            <Rows pointer={`${pointer}/when`} label={t.whenOf(index + 1)} add={t.addCondition} fresh={{ source: "body", operator: "equals", value: "" }}>
              {(condition, at, removeCondition) => <Condition pointer={condition} index={at} remove={removeCondition} />}
            </Rows>
            <ChoiceField pointer={`${pointer}/then`} label={t.thenLabel} options={verdicts} />
            {isAdmin && <Sets pointer={`${pointer}/set`} />}
          </div>
        )}
      </Rows>
      <ChoiceField pointer="/answer/otherwise" label={t.otherwise} hint={t.otherwiseHint} options={verdicts} />
    </fieldset>
  );
}

function Condition({ pointer, index, remove }: { pointer: string; index: number; remove: React.ReactNode }) {
  const { at, set, fault } = useDraft();
  const condition = at(pointer);
  if (get(condition, "/any") !== undefined) {
    return (
      <div className="rowGrid">
        <span className="small">{t.anyOf}</span>
        <TextInput readOnly aria-label={t.anyOf} value={JSON.stringify(get(condition, "/any"))} description={texts.editor.conditional} />
        {remove}
      </div>
    );
  }
  const source = String(at(`${pointer}/source`) ?? "body");
  const operator = String(at(`${pointer}/operator`) ?? "equals");
  const value = at(`${pointer}/value`);
  return (
    <div className="when">
      <ChoiceField pointer={`${pointer}/source`} label={t.source(index + 1)} options={sources} fallback="body" isRow />
      {single.has(source) ? <span /> : <TextField pointer={`${pointer}/key`} label={t.key(index + 1)} placeholder={t.keyHint[source] ?? ""} isRow />}
      <Select data={operators} aria-label={t.operator(index + 1)} allowDeselect={false} value={operator} error={fault(`${pointer}/operator`)} onChange={(next) => set(`${pointer}/operator`, next)} />
      {alone.has(operator) ? (
        <span />
      ) : (
        <div className="stack tight">
          <TextInput aria-label={t.value(index + 1)} placeholder={t.patternHint} value={value === undefined || value === null ? "" : String(value)} error={fault(`${pointer}/value`)} onChange={(event) => set(`${pointer}/value`, event.currentTarget.value)} />
          {operator === "between" && <TextField pointer={`${pointer}/value2`} label={t.value2(index + 1)} isRow />}
        </div>
      )}
      {remove}
    </div>
  );
}

/** The values that an admin's rule takes from a response into the conversion. */
function Sets({ pointer }: { pointer: string }) {
  return (
    <details>
      <summary>{t.sets}</summary>
      <div className="cols sub">
        {(["result", "payout", "value", "external_id"] as const).map((key) => (
          <MacroField key={key} pointer={`${pointer}/${key}`} label={key} placeholder={`{body.${key}}`} />
        ))}
      </div>
    </details>
  );
}
