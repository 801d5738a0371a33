/** A copy of a rule, such as one for another channel with a token of its own. */
import { Button, Modal, PasswordInput, TagsInput, TextInput } from "@mantine/core";
import { useState } from "react";
import { useLocation } from "wouter";
import { api, content } from "../api/client";
import { type RuleList, useRefresh } from "../api/queries";
import type { Rule } from "../api/types";
import { texts } from "../texts";
import { Failure } from "../ui/basics";
import { useFeedback } from "../ui/feedback";

const t = texts.duplicate;

export function DuplicateDialog({ rule, close }: { rule: Rule; close: () => void; list?: RuleList }) {
  const [name, setName] = useState(t.name(rule.name));
  const [channels, setChannels] = useState<string[]>([...rule.conditions.channel]);
  const [secrets, setSecrets] = useState<Record<string, string>>({});
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [, go] = useLocation();
  const { notify } = useFeedback();
  const refresh = useRefresh();
  const make = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const written = Object.fromEntries(Object.entries(secrets).filter(([, value]) => value !== ""));
      const body = { name, conditions: { channel: channels }, ...(Object.keys(written).length > 0 ? { secret_values: written } : {}) };
      const copy = await content(api.POST("/tracking-apis/{id}/duplicate", { params: { path: { id: rule.id } }, body }));
      await refresh("rules", "quota");
      notify(copy.inactive_reason ? texts.editor.savedInactive(copy.inactive_reason) : texts.editor.saved(copy.name));
      close();
      go(`/rules/${copy.id}`);
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={close} title={t.title(rule.name)} lockScroll={false} centered closeButtonProps={{ "aria-label": texts.close }} transitionProps={{ duration: 0 }}>
      <form className="stack" onSubmit={(event) => void make(event)}>
        <TextInput label={texts.editor.name} value={name} required data-autofocus onChange={(event) => setName(event.currentTarget.value)} />
        <TagsInput label={texts.conditions.channel.label} description={t.channelHint} placeholder={texts.conditions.channel.hint} value={channels} onChange={setChannels} acceptValueOnBlur />
        {rule.secrets.map((secret) => (
          <PasswordInput key={secret} label={t.secret(secret)} description={t.secretHint} value={secrets[secret] ?? ""} autoComplete="new-password" visibilityToggleButtonProps={{ "aria-label": texts.editor.showSecret(secret) }} onChange={(event) => setSecrets({ ...secrets, [secret]: event.currentTarget.value })} />
        ))}
        {error !== null && <Failure error={error} />}
        <div className="row">
          <Button type="submit" loading={busy}>
            {t.make}
          </Button>
          <Button variant="default" onClick={close}>
            {texts.cancel}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
