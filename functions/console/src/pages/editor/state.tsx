/** The draft that the form's fields share. */
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import type { Fault, NewRule, Preset } from "../../api/types";
import { filled, get, set } from "../../lib/draft";

export interface DraftState {
  draft: NewRule;
  /** True once anything was changed. */
  isChanged: boolean;
  at: (pointer: string) => unknown;
  set: (pointer: string, value: unknown) => void;
  replace: (draft: NewRule) => void;
  /** The fields that a preset asks for, and the values that were filled in. */
  fields: Preset["fill_in"];
  fills: Readonly<Record<string, string>>;
  fill: (placeholder: string, value: string) => void;
  secrets: Readonly<Record<string, string>>;
  setSecret: (name: string, value: string) => void;
  faults: readonly Fault[];
  setFaults: (faults: readonly Fault[]) => void;
  /** The fault of a place, and of what is below it unless a field of its own shows that. */
  fault: (pointer: string, below?: boolean) => string | undefined;
}

const Context = createContext<DraftState | null>(null);

export function useDraft(): DraftState {
  const state = useContext(Context);
  if (!state) throw new Error("there is no DraftProvider");
  return state;
}

export function DraftProvider({ initial, fields, children }: { initial: NewRule; fields: Preset["fill_in"]; children: ReactNode }) {
  const [base, setBase] = useState(initial);
  const [fills, setFills] = useState<Record<string, string>>({});
  const [secrets, setSecrets] = useState<Record<string, string>>({});
  const [faults, setFaults] = useState<readonly Fault[]>([]);
  const [isChanged, setChanged] = useState(false);
  const draft = useMemo(() => filled(base, fields, fills), [base, fields, fills]);
  const change = useCallback(
    (pointer: string, value: unknown) => {
      // A text with a placeholder is changed as it reads: what was typed into it no longer is the preset's.
      setBase((before) => set(fields.some((field) => field.pointer === pointer) ? filled(before, fields, fills) : before, pointer, value));
      setChanged(true);
    },
    [fields, fills],
  );
  const state = useMemo<DraftState>(
    () => ({
      draft,
      isChanged,
      at: (pointer) => get(draft, pointer),
      set: change,
      replace: (next) => {
        setBase(next);
        setChanged(true);
      },
      fields: fields.filter(({ pointer, placeholder }) => String(get(base, pointer) ?? "").includes(placeholder)),
      fills,
      fill: (placeholder, value) => {
        setFills((all) => ({ ...all, [placeholder]: value }));
        setChanged(true);
      },
      secrets,
      setSecret: (name, value) => {
        setSecrets((all) => ({ ...all, [name]: value }));
        setChanged(true);
      },
      faults,
      setFaults,
      fault: (pointer, below = false) => faults.find((fault) => fault.pointer === pointer || (below && fault.pointer.startsWith(`${pointer}/`)))?.detail,
    }),
    [draft, base, change, fields, fills, secrets, faults, isChanged],
  );
  return <Context value={state}>{children}</Context>;
}

/** The draft with the secrets' values that were written: what is saved and previewed. */
export function whole({ draft, secrets }: Pick<DraftState, "draft" | "secrets">): NewRule {
  const written = Object.entries(secrets).filter(([, value]) => value !== "");
  return written.length > 0 ? { ...draft, secret_values: Object.fromEntries(written) } : draft;
}
