//! What a client can ask, as types. One variant a command; words are the RFC's.
//!
//! Laws
//! - A value here is well formed (sets are not empty, flags are legal, dates exist) but nothing
//!   is known of the store: a mailbox may not exist, a sequence number may be out of range.
//! - Mailbox names are UTF-8, decoded from modified UTF-7, with any spelling of INBOX as `INBOX`.
//! - A secret never appears in `Debug`.

pub mod fetch;
pub mod returns;
pub mod search;
pub mod sequence;
pub mod sort;

pub use fetch::{Fetch, FetchItem, Partial, Section, SectionBody, SectionText};
pub use returns::{PartialRange, ReturnOptions};
pub use search::{MultiSearch, Search, SearchKey, Source};
pub use sequence::{SeqNumber, SequenceSet};
pub use sort::{SORT_KEYS, Sort, SortCriterion, THREAD_ALGORITHMS, Thread};

use std::fmt;

/// A whole command (RFC 3501 section 2.2.1), except APPEND, whose message literals are streamed:
/// see `receive::Event::AppendMessage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub tag: String,
    pub body: CommandBody,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandBody {
    // Any state, RFC 3501 section 6.1.
    Capability,
    Noop,
    Logout,
    /// RFC 2971. `None` is `ID NIL`.
    Id(Option<Vec<(String, Option<String>)>>),

    // Not authenticated, RFC 3501 section 6.2.
    StartTls,
    /// RFC 3501 section 6.2.2 and RFC 4959 (the initial response, decoded; `=` is empty).
    /// The mechanism is in upper case. Answer with a challenge, then `Receiver::expect_line`.
    Authenticate {
        mechanism: String,
        initial_response: Option<Secret>,
    },
    Login {
        username: String,
        password: Secret,
    },

    // Authenticated, RFC 3501 section 6.3.
    /// RFC 5161; names in upper case.
    Enable(Vec<String>),
    /// RFC 7162 section 3.1.8: `condstore` is the CONDSTORE parameter.
    Select {
        mailbox: String,
        condstore: bool,
    },
    Examine {
        mailbox: String,
        condstore: bool,
    },
    /// A trailing hierarchy delimiter is kept: the session knows what it means. `special_use`
    /// holds the attributes of `(USE (..))`, RFC 6154 section 3, as sent (`\Sent`).
    Create {
        mailbox: String,
        special_use: Vec<String>,
    },
    Delete {
        mailbox: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Subscribe {
        mailbox: String,
    },
    Unsubscribe {
        mailbox: String,
    },
    List(List),
    Lsub {
        reference: String,
        pattern: String,
    },
    /// RFC 2342.
    Namespace,
    Status {
        mailbox: String,
        items: Vec<StatusItem>,
    },
    /// RFC 2177. Answer with a continuation, then `Receiver::expect_line` for `DONE`.
    Idle,

    // Selected, RFC 3501 section 6.4.
    Check,
    Close,
    /// RFC 3691.
    Unselect,
    /// `Some` is UID EXPUNGE, RFC 4315 section 2.1.
    Expunge {
        uids: Option<SequenceSet>,
    },
    Search(Search),
    /// RFC 7377; also where no mailbox is selected.
    MultiSearch(MultiSearch),
    /// RFC 5267 section 4.3.5: tags.
    CancelUpdate(Vec<String>),
    /// RFC 5256.
    Sort(Sort),
    Thread(Thread),
    Fetch(Fetch),
    Store(Store),
    Copy {
        set: SequenceSet,
        uid: bool,
        mailbox: String,
    },
    /// RFC 6851.
    Move {
        set: SequenceSet,
        uid: bool,
        mailbox: String,
    },
}

impl CommandBody {
    /// The command's name as the RFC writes it: for logs, metrics and "XYZ completed".
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop => "NOOP",
            Self::Logout => "LOGOUT",
            Self::Id(_) => "ID",
            Self::StartTls => "STARTTLS",
            Self::Authenticate { .. } => "AUTHENTICATE",
            Self::Login { .. } => "LOGIN",
            Self::Enable(_) => "ENABLE",
            Self::Select { .. } => "SELECT",
            Self::Examine { .. } => "EXAMINE",
            Self::Create { .. } => "CREATE",
            Self::Delete { .. } => "DELETE",
            Self::Rename { .. } => "RENAME",
            Self::Subscribe { .. } => "SUBSCRIBE",
            Self::Unsubscribe { .. } => "UNSUBSCRIBE",
            Self::List(_) => "LIST",
            Self::Lsub { .. } => "LSUB",
            Self::Namespace => "NAMESPACE",
            Self::Status { .. } => "STATUS",
            Self::Idle => "IDLE",
            Self::Check => "CHECK",
            Self::Close => "CLOSE",
            Self::Unselect => "UNSELECT",
            Self::Expunge { uids: None } => "EXPUNGE",
            Self::Expunge { uids: Some(_) } => "UID EXPUNGE",
            Self::Search(search) if search.uid => "UID SEARCH",
            Self::Search(_) => "SEARCH",
            Self::MultiSearch(_) => "ESEARCH",
            Self::CancelUpdate(_) => "CANCELUPDATE",
            Self::Sort(sort) if sort.uid => "UID SORT",
            Self::Sort(_) => "SORT",
            Self::Thread(thread) if thread.uid => "UID THREAD",
            Self::Thread(_) => "THREAD",
            Self::Fetch(fetch) if fetch.uid => "UID FETCH",
            Self::Fetch(_) => "FETCH",
            Self::Store(store) if store.uid => "UID STORE",
            Self::Store(_) => "STORE",
            Self::Copy { uid: true, .. } => "UID COPY",
            Self::Copy { .. } => "COPY",
            Self::Move { uid: true, .. } => "UID MOVE",
            Self::Move { .. } => "MOVE",
        }
    }
}

/// Bytes that must not reach a log: a password, a SASL response.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// RFC 3501 section 6.3.8, with RFC 6154 section 2's selection and return options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    pub reference: String,
    /// UTF-8, with `*` and `%` as wildcards.
    pub pattern: String,
    /// `LIST (SPECIAL-USE)`: only mailboxes with a special use.
    pub only_special_use: bool,
    /// `RETURN (SPECIAL-USE)`.
    pub return_special_use: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    /// RFC 7162 section 3.1.7.
    HighestModSeq,
    /// RFC 8438.
    Size,
    /// RFC 7889 section 3.1.
    AppendLimit,
    /// RFC 8474 section 4.3.
    MailboxId,
}

impl StatusItem {
    pub const ALL: [Self; 9] = [
        Self::Messages,
        Self::Recent,
        Self::UidNext,
        Self::UidValidity,
        Self::Unseen,
        Self::HighestModSeq,
        Self::Size,
        Self::AppendLimit,
        Self::MailboxId,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
            Self::HighestModSeq => "HIGHESTMODSEQ",
            Self::Size => "SIZE",
            Self::AppendLimit => "APPENDLIMIT",
            Self::MailboxId => "MAILBOXID",
        }
    }
}

/// RFC 3501 section 6.4.6 and RFC 7162 section 3.1.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    pub set: SequenceSet,
    pub uid: bool,
    /// UNCHANGEDSINCE; zero is legal and fails for every message.
    pub unchanged_since: Option<u64>,
    pub op: StoreOp,
    /// `.SILENT`.
    pub silent: bool,
    /// System flags in their RFC spelling (`\Seen`), keywords as sent. Never `\Recent`.
    pub flags: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOp {
    /// FLAGS
    Replace,
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
}
