/** Offers: their names, countries and categories, which rules show. For admins. */
import { Button, Modal, TextInput } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, ApiFault, content } from "../api/client";
import { flat, paged, useRefresh } from "../api/queries";
import type { Offer } from "../api/types";
import { flag } from "../lib/words";
import { texts } from "../texts";
import { Empty, Failure, Loading, More, Page } from "../ui/basics";
import { useFeedback } from "../ui/feedback";
import { Icon } from "../ui/icons";

const t = texts.offers;
const blank: Offer = { offer_id: "", name: null, country: null, category: null };

export default function OffersPage() {
  const [edited, setEdited] = useState<Offer | null>(null);
  const query = useInfiniteQuery({
    queryKey: ["offers"],
    queryFn: ({ pageParam }) => content(api.GET("/offers", { params: { query: pageParam === undefined ? {} : { cursor: pageParam } } })),
    ...paged,
  });
  const offers = flat<Offer>(query.data?.pages);
  return (
    <Page
      title={t.title}
      lead={t.lead}
      actions={
        <Button leftSection={<Icon name="plus" size={16} />} onClick={() => setEdited(blank)}>
          {t.add}
        </Button>
      }
    >
      <div className="stack">
        {query.isPending ? <Loading /> : query.error ? <Failure error={query.error} retry={() => void query.refetch()} /> : offers.length === 0 ? <Empty title={t.none}>{t.noneHint}</Empty> : <Table offers={offers} edit={setEdited} />}
        <More query={query} />
      </div>
      {edited && <OfferDialog key={edited.offer_id} offer={edited} close={() => setEdited(null)} />}
    </Page>
  );
}

function Table({ offers, edit }: { offers: Offer[]; edit: (offer: Offer) => void }) {
  return (
    <div className="tableBox" tabIndex={0} role="region" aria-label={texts.table(t.title)}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t.id}</th>
            <th scope="col">{t.name}</th>
            <th scope="col">{t.country}</th>
            <th scope="col" className="wide">
              {t.category}
            </th>
            <th scope="col">
              <span className="hidden">{texts.rules.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {offers.map((offer) => (
            <tr key={offer.offer_id}>
              <td className="mono break">{offer.offer_id}</td>
              <td className="break">{offer.name ?? "–"}</td>
              <td className="nowrap">{offer.country ? `${flag(offer.country)} ${offer.country}` : "–"}</td>
              <td className="wide break">{offer.category ?? "–"}</td>
              <td>
                <Button size="compact-sm" variant="default" aria-label={t.editOne(offer.offer_id)} onClick={() => edit(offer)}>
                  {texts.rules.edit}
                </Button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function OfferDialog({ offer, close }: { offer: Offer; close: () => void }) {
  const [draft, setDraft] = useState(offer);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const { notify } = useFeedback();
  const refresh = useRefresh();
  const fault = (name: string) => (error instanceof ApiFault ? error.faults.find((one) => one.pointer === `/${name}`)?.detail : undefined);
  const save = async (event: React.FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const { offer_id, name, country, category } = draft;
      await content(api.PUT("/offers/{id}", { params: { path: { id: offer_id } }, body: { name, country, category } }));
      await refresh("offers", "rules", "rule");
      notify(t.saved(offer_id));
      close();
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  const field = (name: "name" | "country" | "category") => <TextInput label={t[name]} value={draft[name] ?? ""} error={fault(name)} onChange={(event) => setDraft({ ...draft, [name]: event.currentTarget.value === "" ? null : event.currentTarget.value })} />;
  return (
    <Modal opened onClose={close} title={offer.offer_id === "" ? t.add : t.editOne(offer.offer_id)} lockScroll={false} centered closeButtonProps={{ "aria-label": texts.close }} transitionProps={{ duration: 0 }}>
      <form className="stack" onSubmit={(event) => void save(event)}>
        {offer.offer_id === "" && <TextInput label={t.id} value={draft.offer_id} required data-autofocus onChange={(event) => setDraft({ ...draft, offer_id: event.currentTarget.value })} />}
        {field("name")}
        {field("country")}
        {field("category")}
        {error !== null && <Failure error={error} />}
        <div>
          <Button type="submit" loading={busy} disabled={draft.offer_id === ""}>
            {texts.save}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
