/** The number of rules that an affiliate may have. For admins. */
import { Button, NumberInput, TextInput } from "@mantine/core";
import { useState } from "react";
import { useSearchParams } from "wouter";
import { api, content } from "../api/client";
import { useQuota, useRefresh } from "../api/queries";
import type { Quota } from "../api/types";
import { texts } from "../texts";
import { Empty, Fact, Loaded, Page, TextLink } from "../ui/basics";
import { useFeedback } from "../ui/feedback";

const t = texts.quotas;

export default function QuotasPage() {
  const [params, setParams] = useSearchParams();
  const id = params.get("affiliate") ?? "";
  const [typed, setTyped] = useState(id);
  const query = useQuota(id === "" ? null : id);
  const find = (event: React.FormEvent) => {
    event.preventDefault();
    setParams(typed.trim() === "" ? {} : { affiliate: typed.trim() });
  };
  return (
    <Page title={t.title} lead={t.lead}>
      <div className="stack">
        <form className="panel row end" onSubmit={find}>
          <TextInput className="grow" label={texts.affiliateId} placeholder="aff_7" value={typed} onChange={(event) => setTyped(event.currentTarget.value)} />
          <Button type="submit">{t.find}</Button>
        </form>
        {id === "" ? <Empty title={t.nothing}>{t.nothingHint}</Empty> : <Loaded query={query}>{(quota) => <Shown key={`${quota.affiliate_id}-${quota.rules}`} quota={quota} />}</Loaded>}
      </div>
    </Page>
  );
}

function Shown({ quota }: { quota: Quota }) {
  const [rules, setRules] = useState<number | string>(quota.rules);
  const { ask, notify } = useFeedback();
  const refresh = useRefresh();
  const save = async () => {
    await content(api.PUT("/affiliates/{id}/quota", { params: { path: { id: quota.affiliate_id } }, body: { rules: Number(rules) } }));
    notify(t.saved(quota.affiliate_id));
    await refresh("quota");
  };
  return (
    <section className="panel stack" aria-label={quota.affiliate_id}>
      <dl className="facts">
        <Fact term={texts.affiliateId}>{quota.affiliate_id}</Fact>
        <Fact term={t.used}>
          <span className="big">{quota.used}</span>
        </Fact>
        <Fact term={t.most}>
          <span className="big">{quota.rules}</span>
        </Fact>
        <Fact term={texts.rules.postbacks}>
          <TextLink href={`/affiliate-postbacks?owner=${encodeURIComponent(quota.affiliate_id)}`}>{t.show}</TextLink>
        </Fact>
      </dl>
      <div className="row end">
        <NumberInput label={t.change} value={rules} min={0} max={10_000} allowDecimal={false} hideControls onChange={setRules} />
        <Button disabled={rules === "" || rules === quota.rules} onClick={() => ask({ title: t.question(quota.affiliate_id, Number(rules)), text: Number(rules) < quota.used ? t.below(quota.used - Number(rules)) : t.text(quota.used), confirm: texts.save, act: save })}>
          {texts.save}
        </Button>
      </div>
    </section>
  );
}
