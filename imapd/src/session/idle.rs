//! IDLE (RFC 2177).
//!
//! Laws
//! - The watch is taken before the first look at the mailbox, so no change falls between the two.
//! - An idling session holds no thread and no lock; it costs its buffers.

use super::sink::{Gone, Out};
use super::stop::{Done, Stop};
use super::{Session, Step, Task};
use crate::proto::write;
use engine::Watch;

pub struct Idle {
    pub tag: String,
    pub watch: Watch,
}

impl Session {
    /// RFC 2177 section 3.
    pub(super) fn idle_start(&mut self, tag: String, out: &mut Out) -> Result<Step, Gone> {
        let watch = match self.account_watch() {
            Ok(watch) => watch,
            Err(stop) => return self.finish(&tag, "IDLE", Err(stop), out),
        };
        write::continuation(out.buffer(), "idling");
        self.receiver.expect_line();
        self.task = Some(Task::Idle(Idle { tag, watch }));
        self.idle_update(out)
    }

    fn account_watch(&mut self) -> Result<Watch, Stop> {
        let login = self.state.login()?;
        Ok(self.shared.store.watch(login.account)?)
    }

    /// Tells what changed, EXPUNGE included: the IDLE command is in progress.
    pub(super) fn idle_update(&mut self, out: &mut Out) -> Result<Step, Gone> {
        match self.with_changes(Ok(Done::plain()), true, out) {
            Ok(_) => Ok(Step::Again),
            Err(Stop::Gone) => Err(Gone),
            Err(Stop::Bye(code, text)) => self.bye(code.as_ref(), &text, out),
            // What could not be read now is tried again at the next wake, and at DONE.
            Err(Stop::No(..) | Stop::Bad(_)) => Ok(Step::Again),
        }
    }

    pub(super) fn idle_end(&mut self, idle: Idle, line: &[u8], out: &mut Out) -> Result<Step, Gone> {
        if !line.eq_ignore_ascii_case(b"DONE") {
            return self.finish(&idle.tag, "IDLE", Err(Stop::bad("IDLE ends with DONE")), out);
        }
        let answer = self.with_changes(Ok(Done::plain()), true, out);
        self.finish(&idle.tag, "IDLE", answer, out)
    }
}
