/** The gallery of receivers that are ready to fill in. */
import { TextInput } from "@mantine/core";
import { useState } from "react";
import { useLocation } from "wouter";
import { usePresets } from "../../api/queries";
import type { Preset } from "../../api/types";
import { texts } from "../../texts";
import { Empty, Loaded, Page } from "../../ui/basics";

export default function GalleryPage() {
  const presets = usePresets();
  const [, go] = useLocation();
  const [search, setSearch] = useState("");
  const fits = (preset: Preset) => `${preset.name} ${preset.description}`.toLowerCase().includes(search.trim().toLowerCase());
  return (
    <Page title={texts.gallery.title} lead={texts.gallery.lead} crumb={{ href: "/", text: texts.back }}>
      <div className="stack">
        <TextInput label={texts.gallery.search} value={search} onChange={(event) => setSearch(event.currentTarget.value)} maw="24rem" />
        <Loaded query={presets}>
          {({ items }) => {
            const found = items.filter(fits);
            return (
              <>
                {(["tracker", "ad_platform", "flow"] as const).map((kind) => {
                  const cards = found.filter((preset) => preset.kind === kind);
                  return cards.length === 0 ? null : (
                    <section key={kind} className="stack tight" aria-labelledby={`kind-${kind}`}>
                      <h2 id={`kind-${kind}`}>{texts.gallery.kinds[kind]}</h2>
                      <ul className="gallery">
                        {cards.map((preset) => (
                          <li key={preset.id}>
                            <Card name={preset.name} text={preset.description} open={() => go(`/rules/new/${encodeURIComponent(preset.id)}`)} />
                          </li>
                        ))}
                      </ul>
                    </section>
                  );
                })}
                {found.length === 0 && <Empty title={texts.gallery.nothing}>{texts.gallery.nothingHint}</Empty>}
              </>
            );
          }}
        </Loaded>
        <section className="stack tight" aria-labelledby="kind-own">
          <h2 id="kind-own">{texts.gallery.own}</h2>
          <ul className="gallery">
            <li>
              <Card name={texts.gallery.blank} text={texts.gallery.blankHint} open={() => go("/rules/new/blank")} />
            </li>
          </ul>
        </section>
      </div>
    </Page>
  );
}

function Card({ name, text, open }: { name: string; text: string; open: () => void }) {
  return (
    <button type="button" className="card" onClick={open}>
      <b>{name}</b>
      <span className="small dim">{text}</span>
    </button>
  );
}
