/** The page for people without a session: sign in at the issuer, or open a link that the command line printed. */
import { Button, TextInput } from "@mantine/core";
import { useEffect, useState } from "react";
import { type Config, session, sessionOf } from "../session";
import { texts } from "../texts";
import { Failure } from "../ui/basics";

export function Welcome({ config }: { config: Config }) {
  const note = session.note();
  useEffect(() => {
    document.title = `${texts.signIn.title} · ${texts.app}`;
  }, []);
  return (
    <div className="welcome">
      <main className="panel stack">
        <div className="brand">
          <img src="/console/icon.svg" alt="" width={32} height={32} />
          <h1>{texts.app}</h1>
        </div>
        {note !== null && (
          <div className="notice info" role="status">
            {note}
          </div>
        )}
        {config.sign_in ? <AtIssuer config={config} /> : <ByLink config={config} />}
      </main>
    </div>
  );
}

function AtIssuer({ config }: { config: Config }) {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const begin = async () => {
    setBusy(true);
    try {
      const { leave } = await import("../signIn");
      await leave(config);
    } catch (fault) {
      setError(fault);
      setBusy(false);
    }
  };
  return (
    <>
      <p>{texts.signIn.atIssuer}</p>
      <div>
        <Button loading={busy} onClick={() => void begin()}>
          {texts.signIn.button}
        </Button>
      </div>
      {error !== null && <Failure error={error} />}
    </>
  );
}

function ByLink({ config }: { config: Config }) {
  const [text, setText] = useState("");
  const [error, setError] = useState<string | null>(null);
  const open = (event: React.FormEvent) => {
    event.preventDefault();
    const token = text.trim().split("#token=").at(-1) ?? "";
    const found = sessionOf(token, config);
    if (found) session.begin(found);
    else setError(texts.signIn.noToken);
  };
  return (
    <>
      <p>{texts.signIn.byLink}</p>
      <pre className="code">{"tracking console --data tracking-data --admin\ntracking console --data tracking-data --affiliate aff_7"}</pre>
      <form className="stack" onSubmit={open}>
        <TextInput label={texts.signIn.paste} value={text} onChange={(event) => setText(event.currentTarget.value)} error={error} autoComplete="off" type="password" />
        <div>
          <Button type="submit">{texts.signIn.button}</Button>
        </div>
      </form>
    </>
  );
}
