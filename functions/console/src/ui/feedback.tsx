/** Notices of finished actions, and questions before actions that can't be undone. */
import { Button, CloseButton, Modal } from "@mantine/core";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from "react";
import { texts } from "../texts";
import { Failure } from "./basics";

interface Notice {
  id: number;
  tone: "ok" | "bad";
  text: string;
}

interface Question {
  title: string;
  text: ReactNode;
  confirm: string;
  /** The action that follows the confirmation; if it fails, the fault is shown and the question stays. */
  act: () => Promise<unknown>;
  danger?: boolean;
}

interface Feedback {
  notify: (text: string, tone?: Notice["tone"]) => void;
  ask: (question: Question) => void;
}

const Context = createContext<Feedback | null>(null);

export function useFeedback(): Feedback {
  const feedback = useContext(Context);
  if (!feedback) throw new Error("there is no FeedbackProvider");
  return feedback;
}

/** The time for which a notice of success stays. */
const NOTICE_MILLIS = 6_000;

export function FeedbackProvider({ children }: { children: ReactNode }) {
  const [notices, setNotices] = useState<Notice[]>([]);
  const [question, setQuestion] = useState<Question | null>(null);
  const next = useRef(0);
  const drop = useCallback((id: number) => setNotices((all) => all.filter((notice) => notice.id !== id)), []);
  const notify = useCallback(
    (text: string, tone: Notice["tone"] = "ok") => {
      const id = next.current++;
      setNotices((all) => [...all.slice(-3), { id, tone, text }]);
      if (tone === "ok") setTimeout(() => drop(id), NOTICE_MILLIS);
    },
    [drop],
  );
  const feedback = useMemo(() => ({ notify, ask: setQuestion }), [notify]);
  return (
    <Context value={feedback}>
      {children}
      <Asked question={question} close={() => setQuestion(null)} />
      <div className="toasts" role="status" aria-live="polite">
        {notices.map((notice) => (
          <div key={notice.id} className={`notice ${notice.tone}`}>
            <span className="grow break">{notice.text}</span>
            <CloseButton size="sm" aria-label={texts.close} onClick={() => drop(notice.id)} />
          </div>
        ))}
      </div>
    </Context>
  );
}

function Asked({ question, close }: { question: Question | null; close: () => void }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const shut = () => {
    setError(null);
    close();
  };
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await question?.act();
      shut();
    } catch (fault) {
      setError(fault);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Modal opened={question !== null} onClose={shut} title={question?.title} lockScroll={false} centered closeButtonProps={{ "aria-label": texts.close }} transitionProps={{ duration: 0 }}>
      <div className="stack">
        <div>{question?.text}</div>
        {error !== null && <Failure error={error} />}
        <div className="row end">
          <Button color={question?.danger ? "red" : "blue"} loading={busy} onClick={() => void confirm()}>
            {question?.confirm}
          </Button>
          <Button variant="default" data-autofocus onClick={shut}>
            {texts.cancel}
          </Button>
        </div>
      </div>
    </Modal>
  );
}
