//! The order in which jobs are written: short ones as they come, long ones beside them if the transaction has room.

use std::{collections::VecDeque, sync::mpsc::Receiver};

use super::WriteRequest;

/// Jobs that share one transaction at most.
const GROUP: usize = 512;
/// A job that writes more than this, in bytes, is long.
const LONG_BYTES: usize = 64 * 1_024;
/// Bytes of long jobs in one transaction; one job may be longer.
const GROUP_BYTES: usize = 256 * 1_024;

/// The jobs that wait.
pub(super) struct Jobs<'a> {
    coming: &'a Receiver<WriteRequest>,
    long: VecDeque<WriteRequest>,
}

impl<'a> Jobs<'a> {
    pub(super) fn of(coming: &'a Receiver<WriteRequest>) -> Self {
        Self { coming, long: VecDeque::new() }
    }

    /// Fills an empty group with the jobs that are next, and waits for one if there is none. Returns false once all senders are gone and
    /// all jobs are done.
    pub(super) fn next_group(&mut self, group: &mut Vec<WriteRequest>) -> bool {
        if self.long.is_empty() {
            let Ok(first) = self.coming.recv() else { return false };
            self.sort(first, group);
        }
        while group.len() < GROUP
            && let Ok(job) = self.coming.try_recv()
        {
            self.sort(job, group);
        }
        let mut bytes = 0;
        while bytes < GROUP_BYTES
            && let Some(job) = self.long.pop_front()
        {
            bytes += job.bytes();
            group.push(job);
        }
        true
    }

    fn sort(&mut self, job: WriteRequest, group: &mut Vec<WriteRequest>) {
        if job.bytes() > LONG_BYTES {
            self.long.push_back(job);
        } else {
            group.push(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tokio::sync::oneshot;
    use tracking_engine::backend::{Effects, Item, Key};

    use super::*;

    fn job(bytes: usize) -> WriteRequest {
        let item = Item { key: Key::new("p", "s"), rev: 0, body: "x".repeat(bytes), expires: None, attention: None };
        WriteRequest::Commit { effects: vec![Effects { put: vec![item], ..Effects::default() }], answer: oneshot::channel().0 }
    }

    #[test]
    fn long_jobs_take_turns_and_hold_up_no_short_one() {
        let (sender, coming) = channel();
        for bytes in [200_000, 10, 200_000, 200_000, 200_000, 200_000, 200_000, 200_000, 2_000_000, 20, 200_000] {
            sender.send(job(bytes)).unwrap();
        }
        drop(sender);
        let (mut jobs, mut groups, mut group) = (Jobs::of(&coming), Vec::new(), Vec::new());
        while jobs.next_group(&mut group) {
            groups.push(group.drain(..).map(|job| job.bytes()).collect::<Vec<_>>());
        }
        let long = 200_000;
        assert_eq!(groups, [vec![10, 20, long, long], vec![long, long], vec![long, long], vec![long, 2_000_000], vec![long]]);
    }
}
