/** The catalogue of macros and modifiers. */
import { TextInput } from "@mantine/core";
import { useState } from "react";
import { useMacros, useSession } from "../api/queries";
import type { Macros } from "../api/types";
import { texts } from "../texts";
import { Badge, Empty, Loaded, Page } from "../ui/basics";

const t = texts.macros;

export default function MacrosPage() {
  const [search, setSearch] = useState("");
  return (
    <Page title={t.title} lead={t.lead}>
      <div className="stack">
        <TextInput label={texts.rules.search} value={search} onChange={(event) => setSearch(event.currentTarget.value)} maw="24rem" />
        <Loaded query={useMacros()} rows={8}>
          {(macros) => <Catalogue macros={macros} word={search.trim().toLowerCase()} />}
        </Loaded>
      </div>
    </Page>
  );
}

function Catalogue({ macros, word }: { macros: Macros; word: string }) {
  const isAdmin = useSession().role === "admin";
  const fits = (...texts: string[]) => texts.some((text) => text.toLowerCase().includes(word));
  const found = macros.macros.filter((macro) => (isAdmin || !macro.admins_only) && fits(macro.name, macro.description, ...macro.aliases));
  const modifiers = macros.modifiers.filter((modifier) => fits(modifier.name, modifier.description));
  const groups = [...new Set(found.map((macro) => macro.group))];
  if (found.length + modifiers.length === 0) return <Empty title={t.nothing} />;
  return (
    <>
      {groups.map((group) => (
        <section key={group} className="stack tight" aria-labelledby={`group-${group}`}>
          <h2 id={`group-${group}`}>{group}</h2>
          <CatalogueTable label={group} head={t.macro}>
            {found
              .filter((macro) => macro.group === group)
              .map((macro) => (
                <tr key={macro.name}>
                  <td>
                    <div className="cell">
                      <code className="strong break">{`{${macro.name}}`}</code>
                      {macro.aliases.length > 0 && <span className="small dim break">{t.aliases(macro.aliases.join(", "))}</span>}
                      {macro.answer_only && <Badge tone="info">{t.answerOnly}</Badge>}
                    </div>
                  </td>
                  <td>{macro.description}</td>
                  <td className="wide mono break">
                    {macro.example} → {macro.gives}
                  </td>
                </tr>
              ))}
          </CatalogueTable>
        </section>
      ))}
      {modifiers.length > 0 && (
        <section className="stack tight" aria-labelledby="modifiers">
          <h2 id="modifiers">{t.modifiers}</h2>
          <CatalogueTable label={t.modifiers} head={t.modifier}>
            {modifiers.map((modifier) => (
              <tr key={modifier.name}>
                <td>
                  <code className="strong break">
                    |{modifier.name}
                    {modifier.argument === "" ? "" : `:${modifier.argument}`}
                  </code>
                </td>
                <td>{modifier.description}</td>
                <td className="wide mono break">
                  {modifier.example} → {modifier.gives}
                </td>
              </tr>
            ))}
          </CatalogueTable>
        </section>
      )}
    </>
  );
}

function CatalogueTable({ label, head, children }: { label: string; head: string; children: React.ReactNode }) {
  return (
    <div className="tableBox" tabIndex={0} role="region" aria-label={texts.table(label)}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{head}</th>
            <th scope="col">{t.meaning}</th>
            <th scope="col" className="wide">
              {t.example}
            </th>
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
