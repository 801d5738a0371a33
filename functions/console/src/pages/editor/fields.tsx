/** Fields of the form, each bound to a place of the draft, with the API's fault of that place. */
import { ActionIcon, Button, Combobox, NumberInput, Select, TagsInput, Textarea, TextInput, useCombobox } from "@mantine/core";
import { type ReactNode, useRef, useState } from "react";
import { useMacros, useSession } from "../../api/queries";
import { suggest, type Suggestion } from "../../lib/template";
import { texts } from "../../texts";
import { Icon } from "../../ui/icons";
import { useDraft } from "./state";

interface FieldProps {
  pointer: string;
  label: string;
  hint?: ReactNode;
  placeholder?: string;
  required?: boolean;
  /** The label is for screen readers: a head above the rows says it to the others. */
  isRow?: boolean;
}

function labelled({ label, isRow }: FieldProps) {
  return isRow ? { "aria-label": label } : { label };
}

export function TextField(props: FieldProps & { multiline?: boolean }) {
  const { at, set, fault } = useDraft();
  const value = at(props.pointer);
  const shared = {
    ...labelled(props),
    description: props.hint,
    placeholder: props.placeholder,
    required: props.required ?? false,
    value: typeof value === "string" ? value : "",
    error: fault(props.pointer),
    onChange: (event: React.ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => set(props.pointer, event.currentTarget.value === "" && !props.required && !props.isRow ? undefined : event.currentTarget.value),
  };
  return props.multiline ? <Textarea autosize minRows={2} maxRows={8} {...shared} /> : <TextInput {...shared} />;
}

export function NumberField(props: FieldProps & { min: number; max: number; suffix?: string }) {
  const { at, set, fault } = useDraft();
  const value = at(props.pointer);
  return (
    <NumberInput
      {...labelled(props)}
      description={props.hint}
      placeholder={props.placeholder}
      min={props.min}
      max={props.max}
      clampBehavior="none"
      allowDecimal={false}
      {...(props.suffix ? { suffix: props.suffix } : {})}
      value={typeof value === "number" ? value : ""}
      error={fault(props.pointer)}
      onChange={(next) => set(props.pointer, typeof next === "number" ? next : undefined)}
      hideControls
    />
  );
}

export function ChoiceField(props: FieldProps & { options: { value: string; label: string }[]; fallback?: string }) {
  const { at, set, fault } = useDraft();
  const value = at(props.pointer);
  return (
    <Select
      {...labelled(props)}
      description={props.hint}
      data={props.options}
      allowDeselect={false}
      value={typeof value === "string" ? value : (props.fallback ?? null)}
      error={fault(props.pointer)}
      onChange={(next) => set(props.pointer, next ?? undefined)}
    />
  );
}

/** A list of words. */
export function WordsField(props: FieldProps & { options?: string[] }) {
  const { at, set, fault } = useDraft();
  const value = at(props.pointer);
  return (
    <TagsInput
      {...labelled(props)}
      description={props.hint}
      placeholder={props.placeholder}
      data={props.options ?? []}
      value={Array.isArray(value) ? value.map(String) : []}
      error={fault(props.pointer, true)}
      splitChars={[",", " ", ";"]}
      acceptValueOnBlur
      onChange={(next) => set(props.pointer, next.length === 0 ? undefined : next)}
    />
  );
}

/** A template: macros are offered behind a brace, modifiers behind a bar. Several texts with conditions are shown, and edited as JSON. */
export function MacroField(props: FieldProps) {
  const { at, set, fault } = useDraft();
  const value = at(props.pointer);
  if (value !== undefined && value !== null && typeof value !== "string") {
    return (
      <TextInput {...labelled(props)} value={JSON.stringify(value)} readOnly description={texts.editor.conditional} error={fault(props.pointer, true)} />
    );
  }
  return <MacroInput {...props} value={value ?? ""} error={fault(props.pointer, true)} change={(text) => set(props.pointer, text)} />;
}

function MacroInput({ value, error, change, ...props }: FieldProps & { value: string; error: string | undefined; change: (text: string) => void }) {
  const macros = useMacros().data;
  const isAdmin = useSession().role === "admin";
  const input = useRef<HTMLInputElement>(null);
  const combobox = useCombobox({ onDropdownClose: () => combobox.resetSelectedOption() });
  const [offer, setOffer] = useState<{ from: number; options: Suggestion[] } | null>(null);
  const look = (text: string, caret: number | null) => {
    const next = macros && caret !== null ? suggest(text, caret, macros, isAdmin) : null;
    setOffer(next);
    if (next) {
      combobox.openDropdown();
      combobox.updateSelectedOptionIndex();
    } else combobox.closeDropdown();
  };
  const accept = (insert: string) => {
    const element = input.current;
    if (!offer || !element) return;
    const end = element.selectionStart ?? value.length;
    const closes = insert.endsWith("}") && value[end] === "}";
    change(value.slice(0, offer.from) + insert + value.slice(closes ? end + 1 : end));
    combobox.closeDropdown();
    const caret = offer.from + insert.length;
    requestAnimationFrame(() => element.setSelectionRange(caret, caret));
  };
  const isOpen = combobox.dropdownOpened && offer !== null;
  return (
    <Combobox store={combobox} onOptionSubmit={accept} withinPortal transitionProps={{ duration: 0 }}>
      <Combobox.Target withExpandedAttribute>
        <TextInput
          {...labelled(props)}
          ref={input}
          role="combobox"
          aria-autocomplete="list"
          description={props.hint}
          placeholder={props.placeholder}
          required={props.required ?? false}
          value={value}
          error={error}
          autoComplete="off"
          spellCheck={false}
          classNames={{ input: "mono" }}
          onChange={(event) => {
            change(event.currentTarget.value);
            look(event.currentTarget.value, event.currentTarget.selectionStart);
          }}
          onKeyDown={(event) => {
            if (event.key === "Escape" && isOpen) event.stopPropagation();
          }}
          onBlur={() => combobox.closeDropdown()}
        />
      </Combobox.Target>
      <Combobox.Dropdown hidden={!isOpen}>
        <Combobox.Options mah={260} className="options" aria-label={texts.editor.macros}>
          {offer?.options.map((option) => (
            <Combobox.Option key={option.name} value={option.insert}>
              <div className="cell">
                <span className="mono strong">{option.name}</span>
                <span className="small dim">
                  {option.hint} {option.example !== "" && <span className="mono">{option.example}</span>}
                </span>
              </div>
            </Combobox.Option>
          ))}
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  );
}

/** Rows of a list: each with a button that removes it, and one below that adds another. */
export function Rows({ pointer, label, add, fresh, children }: { pointer: string; label: string; add: string; fresh: unknown; children: (pointer: string, index: number, remove: ReactNode) => ReactNode }) {
  const { at, set, fault } = useDraft();
  const value = at(pointer);
  const rows = Array.isArray(value) ? value : [];
  const own = fault(pointer);
  return (
    <div className="stack tight" role="group" aria-label={label}>
      {rows.map((_, index) => (
        <div key={index}>
          {children(
            `${pointer}/${index}`,
            index,
            <ActionIcon variant="subtle" color="red" size="lg" aria-label={texts.editor.removeRow(label, index + 1)} onClick={() => set(`${pointer}/${index}`, undefined)}>
              <Icon name="trash" size={16} />
            </ActionIcon>,
          )}
        </div>
      ))}
      {own && <FieldFault text={own} />}
      <div>
        <Button size="compact-sm" variant="default" leftSection={<Icon name="plus" size={14} />} onClick={() => set(pointer, [...rows, fresh])}>
          {add}
        </Button>
      </div>
    </div>
  );
}

export function FieldFault({ text }: { text: string }) {
  return (
    <p className="small" role="alert" data-fault>
      <span className="badge bad">{text}</span>
    </p>
  );
}
