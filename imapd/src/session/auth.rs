//! Commands of any state and of the state before login: CAPABILITY, ID, ENABLE, NAMESPACE, LOGOUT,
//! LOGIN and AUTHENTICATE (RFC 3501 sections 6.1 and 6.2).
//!
//! Laws
//! - A wrong name and a wrong password are answered alike, after the same delay.
//! - After `FAILED_LOGINS_MAX` wrong passwords the connection ends.
//! - A password is checked only in turn (`Step::PasswordTurn`), and never logged.

use super::sink::{Gone, Out};
use super::state::{self, State};
use super::stop::{Answer, Done, Stop};
use super::{Session, Step, Task};
use crate::proto::ast::Secret;
use crate::proto::write::{self, Code, Status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::Error;
use engine::types::AccountId;

/// Wrong passwords a connection may try.
const FAILED_LOGINS_MAX: u32 = 3;

/// What is offered in any state.
const CAPABILITIES: [&str; 5] = ["IMAP4rev1", "LITERAL+", "ID", "ENABLE", "IDLE"];
/// What is offered before login only.
const CAPABILITIES_BEFORE_LOGIN: [&str; 2] = ["SASL-IR", "AUTH=PLAIN"];
/// What is offered once logged in.
const CAPABILITIES_LOGGED_IN: &[&str] = &[
    "NAMESPACE",
    "CHILDREN",
    "UIDPLUS",
    "UNSELECT",
    "MOVE",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "STATUS=SIZE",
    "MULTIAPPEND",
    "CONDSTORE",
    "OBJECTID",
    "SAVEDATE",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "PARTIAL",
    "SEARCH=FUZZY",
    "MULTISEARCH",
    "CONTEXT=SEARCH",
    "INPROGRESS",
    "I18NLEVEL=1",
    "SORT",
    "SORT=DISPLAY",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "THREAD=REFS",
    "ESORT",
    "CONTEXT=SORT",
    "PREVIEW",
];

/// A password that waits for its turn to be checked.
pub struct Login {
    tag: String,
    command: &'static str,
    name: String,
    password: Secret,
}

impl Session {
    /// RFC 3501 section 7.2.1; APPENDLIMIT is RFC 7889.
    pub(super) fn capabilities(&self) -> Vec<String> {
        let more: &[&str] =
            if self.is_logged_in() { CAPABILITIES_LOGGED_IN } else { &CAPABILITIES_BEFORE_LOGIN };
        let limit = format!("APPENDLIMIT={}", self.shared.max_literal_bytes);
        CAPABILITIES.iter().chain(more).map(|&name| name.to_owned()).chain([limit]).collect()
    }

    /// RFC 3501 section 6.1.1.
    pub(super) fn capability(&self, out: &mut Out) -> Done {
        let names = self.capabilities();
        write::capability(out.buffer(), &names.iter().map(String::as_str).collect::<Vec<_>>());
        Done::plain()
    }

    /// RFC 2971 section 3.1.
    pub(super) fn id(out: &mut Out) -> Done {
        let fields = [("name", Some("Mailcask")), ("version", Some(env!("CARGO_PKG_VERSION")))];
        write::id(out.buffer(), &fields);
        Done::plain()
    }

    /// RFC 5161 section 3.1: what is not known is ignored.
    pub(super) fn enable(&mut self, names: &[String], out: &mut Out) -> Answer {
        self.state.login()?;
        let condstore = names.iter().any(|name| name == "CONDSTORE");
        if condstore {
            self.enable_condstore(out)?;
        }
        write::enabled(out.buffer(), if condstore { &["CONDSTORE"] } else { &[] });
        Ok(Done::plain())
    }

    /// RFC 2342 section 5.
    pub(super) fn namespace(&mut self, out: &mut Out) -> Answer {
        self.state.login()?;
        write::namespace(out.buffer(), "", '/');
        Ok(Done::plain())
    }

    /// RFC 3501 section 6.1.3.
    pub(super) fn logout(&mut self, tag: &str, out: &mut Out) -> Result<Step, Gone> {
        self.bye(None, "Logging out", out)?;
        write::tagged(out.buffer(), tag, Status::Ok, None, "LOGOUT completed");
        Ok(Step::Close)
    }

    /// RFC 3501 section 6.2.3.
    pub(super) fn login(
        &mut self,
        tag: String,
        name: String,
        password: Secret,
        out: &mut Out,
    ) -> Result<Step, Gone> {
        if let Err(stop) = self.not_logged_in() {
            return self.finish(&tag, "LOGIN", Err(stop), out);
        }
        self.task = Some(Task::Password(Login { tag, command: "LOGIN", name, password }));
        Ok(Step::PasswordTurn)
    }

    /// RFC 3501 section 6.2.2, with the initial response of RFC 4959.
    pub(super) fn authenticate(
        &mut self,
        tag: String,
        mechanism: &str,
        initial_response: Option<Secret>,
        out: &mut Out,
    ) -> Result<Step, Gone> {
        if let Err(stop) = self.not_logged_in() {
            return self.finish(&tag, "AUTHENTICATE", Err(stop), out);
        }
        if mechanism != "PLAIN" {
            let stop = Stop::no(Code::Cannot, "Only AUTHENTICATE PLAIN is offered");
            return self.finish(&tag, "AUTHENTICATE", Err(stop), out);
        }
        if let Some(Secret(response)) = initial_response {
            return self.plain(tag, &response, out);
        }
        write::challenge(out.buffer(), b"");
        self.receiver.expect_line();
        self.task = Some(Task::Sasl { tag });
        Ok(Step::Again)
    }

    /// The client's answer to the challenge; `*` gives up.
    pub(super) fn sasl_response(&mut self, tag: String, line: &[u8], out: &mut Out) -> Result<Step, Gone> {
        if line == b"*" {
            return self.finish(&tag, "AUTHENTICATE", Err(Stop::bad("AUTHENTICATE cancelled")), out);
        }
        match STANDARD.decode(line) {
            Ok(response) => self.plain(tag, &response, out),
            Err(_) => self.finish(&tag, "AUTHENTICATE", Err(Stop::bad("That is no base64")), out),
        }
    }

    /// PLAIN (RFC 4616 section 2): authorization identity, NUL, name, NUL, password. Acting for
    /// somebody else is not offered.
    fn plain(&mut self, tag: String, response: &[u8], out: &mut Out) -> Result<Step, Gone> {
        let mut fields = response.split(|&byte| byte == 0);
        let (Some(acting_for), Some(name), Some(password), None) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            let stop = Stop::bad("PLAIN wants three fields between NULs");
            return self.finish(&tag, "AUTHENTICATE", Err(stop), out);
        };
        if !acting_for.is_empty() && acting_for != name {
            let stop = Stop::no(Code::AuthorizationFailed, "Log in as yourself");
            return self.finish(&tag, "AUTHENTICATE", Err(stop), out);
        }
        let name = String::from_utf8_lossy(name).into_owned();
        let password = Secret(password.to_vec());
        self.task = Some(Task::Password(Login { tag, command: "AUTHENTICATE", name, password }));
        Ok(Step::PasswordTurn)
    }

    /// Checks the password that waited for its turn.
    pub(super) fn check_password(&mut self, login: Login, out: &mut Out) -> Result<Step, Gone> {
        let Login { tag, command, name, password: Secret(password) } = login;
        let checked = match std::str::from_utf8(&password) {
            Ok(password) => self.shared.store.authenticate(&name, password),
            Err(_) => Err(Error::AuthenticationFailed),
        };
        let answer = match checked {
            Ok(account) => self.enter(account).map(|()| Done {
                code: Some(Code::Capability(self.capabilities())),
                text: Some("Logged in".into()),
            }),
            Err(Error::AuthenticationFailed) => return self.failed_login(&tag, command, out),
            Err(error) => Err(error.into()),
        };
        self.finish(&tag, command, answer, out)
    }

    /// Logs in, if the account may have one more connection.
    pub(super) fn enter(&mut self, account: AccountId) -> Result<(), Stop> {
        let place = self
            .shared
            .admission
            .admit(account)
            .ok_or_else(|| Stop::no(Code::Limit, "Too many connections of this account"))?;
        self.state = State::Authenticated(state::Login { account, condstore: false, _place: place });
        Ok(())
    }

    /// The reply to a wrong password, held back to slow a guesser down.
    fn failed_login(&mut self, tag: &str, command: &str, out: &mut Out) -> Result<Step, Gone> {
        let mut held = Vec::new();
        let (code, text) = (Code::AuthenticationFailed, "Wrong name or password");
        write::tagged(&mut held, tag, Status::No, Some(&code), text);
        if let State::NotAuthenticated { failed_logins } = &mut self.state {
            *failed_logins += 1;
            tracing::info!(command, failed_logins, "login failed");
            if *failed_logins >= FAILED_LOGINS_MAX {
                write::untagged(&mut held, Status::Bye, None, "Too many failed logins");
                self.state = State::Logout;
            }
        }
        out.flush()?;
        self.task = Some(Task::Held(held));
        Ok(Step::Pause(self.shared.failed_login_delay))
    }

    fn not_logged_in(&self) -> Result<(), Stop> {
        match self.state {
            State::NotAuthenticated { .. } => Ok(()),
            _ => Err(Stop::bad("Already logged in")),
        }
    }
}
