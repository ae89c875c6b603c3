//! An IMAP session without I/O: bytes and wakeups in, bytes and steps out (RFC 3501).
//!
//! How to drive it: `greet`, then `push` what the client sent and call `step` until it says
//! `NeedBytes`. `step`, `wake` and `end` read the store's disk and may wait for the client to read:
//! call them where blocking is allowed.
//!
//! Laws
//! - Commands run one after the other in the order sent, whatever was pipelined, so no command is
//!   ambiguous (RFC 3501 section 5.5).
//! - Every command gets exactly one tagged reply, unless the connection ends.
//! - EXPUNGE is announced only while a command other than FETCH, STORE, SEARCH, SORT, THREAD and COPY is
//!   answered, or one of their UID forms (section 7.4.1, RFC 5256 section 3): sequence numbers never shift under a client.
//! - No lock is held while bytes go out; nothing here waits for the network but `Sink::send`.
//! - A password or a message's text never reaches the log.

mod append;
mod auth;
mod copy;
mod esearch;
mod expunge;
mod fetch;
mod idle;
mod list;
mod mailbox;
mod messages;
mod progress;
pub mod search;
mod select;
mod sink;
mod sort;
mod state;
mod stop;
mod store;
mod sync;
mod thread;

pub use progress::Running;
pub use sink::{Gone, Kept, Out, Sink};

use crate::proto::ast::{Command, CommandBody};
use crate::proto::write::{self, Code, Status};
use crate::proto::{Event, Limits, Receiver};
use engine::types::AccountId;
use engine::{Store, Watch};
use state::State;
use std::sync::Arc;
use std::time::Duration;
use stop::{Answer, Done, Stop};
use sync::Tell;

/// This many commands in a row that are no IMAP end the connection.
const BAD_COMMANDS_MAX: u32 = 10;

/// What the sessions of a server share.
pub struct Shared {
    pub store: Store,
    pub admission: Arc<dyn Admission>,
    /// The largest message an APPEND takes.
    pub max_literal_bytes: u64,
    /// How long an expunged message can still be fetched by a session that was not told yet.
    pub grace_ms: u64,
    /// How long the reply to a wrong password is held back.
    pub failed_login_delay: Duration,
}

/// Who counts an account's connections.
pub trait Admission: Send + Sync {
    /// A place for one more connection of the account, given back by dropping it.
    fn admit(&self, account: AccountId) -> Option<Box<dyn Send>>;
}

/// What a session wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Push what the client sends, then step.
    NeedBytes,
    /// Step again.
    Again,
    /// Step again when it is this session's turn to check a password: that is slow on purpose.
    PasswordTurn,
    /// Step again after that long.
    Pause(Duration),
    Close,
}

/// A command that takes more than one step.
enum Task {
    Idle(idle::Idle),
    Sasl {
        tag: String,
    },
    Password(auth::Login),
    /// Boxed: it holds the stager of a message.
    Append(Box<append::Append>),
    /// A reply that was held back, with its `Pause`.
    Held(Vec<u8>),
}

pub struct Session {
    shared: Arc<Shared>,
    receiver: Receiver,
    state: State,
    task: Option<Task>,
    bad_commands: u32,
    running: Arc<Running>,
}

impl Session {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        let limits = Limits { message_bytes: shared.max_literal_bytes, ..Limits::default() };
        Self {
            receiver: Receiver::new(limits),
            shared,
            state: State::NotAuthenticated { failed_logins: 0 },
            task: None,
            bad_commands: 0,
            running: Arc::default(),
        }
    }

    /// The greeting: OK, or PREAUTH into that account, or BYE when it is full (RFC 3501 sections
    /// 7.1.1, 7.1.4 and 7.1.5).
    pub fn greet(&mut self, preauth: Option<AccountId>, sink: &mut dyn Sink) -> Step {
        self.run(sink, |session, out| {
            let (status, text) = match preauth {
                None => (Status::Ok, "Mailcask ready"),
                Some(account) => match session.enter(account) {
                    Ok(()) => (Status::PreAuth, "Mailcask ready, logged in"),
                    Err(_) => return session.bye(None, "Too many connections of this account", out),
                },
            };
            let code = Code::Capability(session.capabilities());
            write::untagged(out.buffer(), status, Some(&code), text);
            Ok(Step::NeedBytes)
        })
    }

    /// Bytes from the client; only after `NeedBytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.receiver.push(bytes);
    }

    /// Whether the client has logged in: its silence is then borne longer.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        matches!(self.state, State::Authenticated(_) | State::Selected(..))
    }

    /// Says how far a step is that takes long, while it runs elsewhere.
    #[must_use]
    pub fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running)
    }

    /// While IDLE runs, what wakes it: call `wake` when it changed.
    pub fn idle_watch(&mut self) -> Option<&mut Watch> {
        match &mut self.task {
            Some(Task::Idle(idle)) => Some(&mut idle.watch),
            _ => None,
        }
    }

    /// Handles the next thing the client sent.
    pub fn step(&mut self, sink: &mut dyn Sink) -> Step {
        self.run(sink, Self::next)
    }

    /// Tells an idling client what changed.
    pub fn wake(&mut self, sink: &mut dyn Sink) -> Step {
        self.run(sink, Self::idle_update)
    }

    /// Says BYE: autologout, or the server stops.
    pub fn end(&mut self, text: &'static str, sink: &mut dyn Sink) -> Step {
        self.run(sink, |session, out| session.bye(None, text, out))
    }

    fn run(
        &mut self,
        sink: &mut dyn Sink,
        f: impl FnOnce(&mut Self, &mut Out) -> Result<Step, Gone>,
    ) -> Step {
        let mut out = Out::new(sink);
        let step = f(self, &mut out).and_then(|step| out.flush().map(|()| step));
        step.unwrap_or_else(|Gone| {
            self.state = State::Logout;
            self.task = None;
            Step::Close
        })
    }

    fn next(&mut self, out: &mut Out) -> Result<Step, Gone> {
        match self.task.take() {
            Some(Task::Held(reply)) => {
                out.buffer().extend_from_slice(&reply);
                return Ok(if matches!(self.state, State::Logout) { Step::Close } else { Step::Again });
            }
            Some(Task::Password(login)) => return self.check_password(login, out),
            task => self.task = task,
        }
        match self.receiver.next() {
            Event::NeedBytes => Ok(Step::NeedBytes),
            Event::SendContinue => {
                write::continuation(out.buffer(), "go on");
                Ok(Step::Again)
            }
            Event::Command(command) => self.command(command, out),
            Event::AppendMessage(message) => self.append_message(message, out),
            Event::MessageBytes(bytes) => self.append_bytes(&bytes, out),
            Event::MessageEnd => self.append_message_end(out),
            Event::AppendEnd => self.append_end(out),
            Event::Line(line) => self.line(&line, out),
            Event::Refused(refusal) => self.refused(refusal, out),
            Event::Lost(refusal) => {
                write::refusal(out.buffer(), &refusal);
                self.bye(None, "The end of a literal cannot be found", out)
            }
        }
    }

    /// A line outside of commands: the answer to a challenge, or DONE.
    fn line(&mut self, line: &[u8], out: &mut Out) -> Result<Step, Gone> {
        match self.task.take() {
            Some(Task::Sasl { tag }) => self.sasl_response(tag, line, out),
            Some(Task::Idle(idle)) => self.idle_end(idle, line, out),
            _ => Ok(Step::Again),
        }
    }

    /// A command that is no IMAP, or too large.
    fn refused(&mut self, mut refusal: crate::proto::parse::Refusal, out: &mut Out) -> Result<Step, Gone> {
        match self.task.take() {
            Some(Task::Sasl { tag }) => refusal.tag = Some(tag),
            Some(Task::Idle(idle)) => refusal.tag = Some(idle.tag),
            _ => {}
        }
        if refusal.empties_saved {
            self.forget_saved();
        }
        write::refusal(out.buffer(), &refusal);
        match refusal.status {
            Status::Bad => self.count_bad(out),
            _ => Ok(Step::Again),
        }
    }

    /// One command: what takes several steps returns at once, the others end here.
    fn command(&mut self, Command { tag, body }: Command, out: &mut Out) -> Result<Step, Gone> {
        let name = body.name();
        let expunges = shows_expunges(&body);
        // Delivered or changed before this command is seen by it: what others did is told first, but for
        // expunges, which would shift the numbers that the command uses (RFC 3501 section 7.4.1).
        if looks_at_messages(&body)
            && let Err(stop) = self.changes(false, &mut |_| Tell::Flags, out)
        {
            return self.finish(&tag, name, Err(stop), out);
        }
        let answer = match body {
            CommandBody::Idle => return self.idle_start(tag, out),
            CommandBody::Authenticate { mechanism, initial_response } => {
                return self.authenticate(tag, &mechanism, initial_response, out);
            }
            CommandBody::Login { username, password } => return self.login(tag, username, password, out),
            CommandBody::Logout => return self.logout(&tag, out),
            CommandBody::Capability => Ok(self.capability(out)),
            CommandBody::Noop => Ok(Done::plain()),
            CommandBody::Check => self.check(),
            CommandBody::Id(_) => Ok(Self::id(out)),
            CommandBody::StartTls => Err(Stop::bad("TLS is not available here")),
            CommandBody::Enable(names) => self.enable(&names, out),
            CommandBody::Namespace => self.namespace(out),
            CommandBody::Select { mailbox, condstore } => self.select(&mailbox, condstore, false, out),
            CommandBody::Examine { mailbox, condstore } => self.select(&mailbox, condstore, true, out),
            CommandBody::Close => self.close(),
            CommandBody::Unselect => self.unselect(),
            CommandBody::Create { mailbox, special_use } => self.create(&mailbox, &special_use),
            CommandBody::Delete { mailbox } => self.delete(&mailbox, out),
            CommandBody::Rename { from, to } => self.rename(&from, &to),
            CommandBody::Subscribe { mailbox } => self.subscribe(&mailbox, true),
            CommandBody::Unsubscribe { mailbox } => self.subscribe(&mailbox, false),
            CommandBody::List(list) => self.list(&list, out),
            CommandBody::Lsub { reference, pattern } => self.lsub(&reference, &pattern, out),
            CommandBody::Status { mailbox, items } => self.status(&mailbox, &items, out),
            CommandBody::Expunge { uids } => self.expunge(uids.as_ref()),
            CommandBody::Search(search) => self.search(&tag, &search, out),
            CommandBody::Sort(sort) => self.sort(&tag, &sort, out),
            CommandBody::Thread(thread) => self.thread(&tag, &thread, out),
            CommandBody::MultiSearch(search) => self.multi_search(&tag, &search, out),
            CommandBody::CancelUpdate(tags) => self.cancel_update(&tags),
            CommandBody::Fetch(fetch) => self.fetch(fetch, out),
            CommandBody::Store(store) => self.store(store, out),
            CommandBody::Copy { set, uid, mailbox } => self.copy(&set, uid, &mailbox),
            CommandBody::Move { set, uid, mailbox } => self.move_messages(&set, uid, &mailbox, out),
        };
        let answer = self.with_changes(answer, expunges, out);
        self.finish(&tag, name, answer, out)
    }

    /// The tagged reply.
    fn finish(&mut self, tag: &str, name: &str, answer: Answer, out: &mut Out) -> Result<Step, Gone> {
        match answer {
            Ok(Done { code, text }) => {
                self.bad_commands = 0;
                let text = text.unwrap_or_else(|| format!("{name} completed").into());
                write::tagged(out.buffer(), tag, Status::Ok, code.as_ref(), &text);
                Ok(Step::Again)
            }
            Err(Stop::No(code, text)) => {
                self.bad_commands = 0;
                write::tagged(out.buffer(), tag, Status::No, code.as_ref(), &text);
                Ok(Step::Again)
            }
            Err(Stop::Bad(text)) => {
                write::tagged(out.buffer(), tag, Status::Bad, None, &text);
                self.count_bad(out)
            }
            Err(Stop::Bye(code, text)) => self.bye(code.as_ref(), &text, out),
            Err(Stop::Gone) => Err(Gone),
        }
    }

    fn count_bad(&mut self, out: &mut Out) -> Result<Step, Gone> {
        self.bad_commands += 1;
        if self.bad_commands >= BAD_COMMANDS_MAX {
            return self.bye(None, "Too many bad commands", out);
        }
        Ok(Step::Again)
    }

    fn bye(&mut self, code: Option<&Code>, text: &str, out: &mut Out) -> Result<Step, Gone> {
        write::untagged(out.buffer(), Status::Bye, code, text);
        self.state = State::Logout;
        self.task = None;
        Ok(Step::Close)
    }
}

/// The commands that look at messages of the selected mailbox. STORE is not among them: it tells what
/// others did together with what it did itself, each message once and as it is in the end.
fn looks_at_messages(body: &CommandBody) -> bool {
    use CommandBody::{Copy, Expunge, Fetch, Move, MultiSearch, Search, Sort, Thread};
    let searches = matches!(body, MultiSearch(_) | Search(_) | Sort(_) | Thread(_));
    searches || matches!(body, Copy { .. } | Expunge { .. } | Fetch(_) | Move { .. })
}

/// Whether EXPUNGE may be announced while the command is answered. RFC 3501 section 7.4.1 forbids
/// FETCH, STORE and SEARCH, RFC 5256 section 3 SORT and THREAD; COPY by sequence numbers is spared too, because clients pipeline it.
fn shows_expunges(body: &CommandBody) -> bool {
    match body {
        CommandBody::Fetch(fetch) => fetch.uid,
        CommandBody::Store(store) => store.uid,
        CommandBody::Search(search) => search.uid,
        CommandBody::Sort(sort) => sort.uid,
        CommandBody::Thread(thread) => thread.uid,
        CommandBody::Copy { uid, .. } => *uid,
        _ => true,
    }
}
