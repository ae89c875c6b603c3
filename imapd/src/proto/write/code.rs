//! Response codes (RFC 3501 section 7.1, RFC 5530 and the extensions'), as types.

use super::number;
use super::string::{astring, string};
use crate::proto::object_id;
use engine::types::MailboxId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    // RFC 3501 section 7.1
    Alert,
    /// The charsets that are understood.
    BadCharset(Vec<&'static str>),
    Capability(Vec<String>),
    Parse,
    /// The flags, and whether `\*` (new keywords can be made) is among them.
    PermanentFlags(Vec<String>, bool),
    ReadOnly,
    ReadWrite,
    TryCreate,
    UidNext(u32),
    UidValidity(u32),
    Unseen(u32),
    // RFC 4315 section 3: lists in the order of the messages; runs are made when writing.
    AppendUid {
        uid_validity: u32,
        uids: Vec<u32>,
    },
    CopyUid {
        uid_validity: u32,
        from: Vec<u32>,
        to: Vec<u32>,
    },
    UidNotSticky,
    // RFC 7162
    HighestModSeq(u64),
    NoModSeq,
    /// Numbers or UIDs, as the command used them.
    Modified(Vec<u32>),
    Closed,
    // RFC 4469, RFC 6154
    TooBig,
    UseAttr,
    // RFC 5530 section 3
    Unavailable,
    AuthenticationFailed,
    AuthorizationFailed,
    Expired,
    PrivacyRequired,
    ContactAdmin,
    NoPerm,
    InUse,
    ExpungeIssued,
    Corruption,
    ServerBug,
    ClientBug,
    Cannot,
    Limit,
    OverQuota,
    AlreadyExists,
    NonExistent,
    /// RFC 5267 section 4.3.1: the tag of the command that is not kept up to date.
    NoUpdate(String),
    /// RFC 8474 sections 4.1 and 4.2.
    MailboxId(MailboxId),
    /// RFC 9585 section 4: `done` of `goal`, where that is known to be more.
    InProgress {
        tag: String,
        done: u64,
        goal: Option<u64>,
    },
}

impl Code {
    /// The code's word: also the label for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::BadCharset(_) => "BADCHARSET",
            Self::Capability(_) => "CAPABILITY",
            Self::Parse => "PARSE",
            Self::PermanentFlags(..) => "PERMANENTFLAGS",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::TryCreate => "TRYCREATE",
            Self::UidNext(_) => "UIDNEXT",
            Self::UidValidity(_) => "UIDVALIDITY",
            Self::Unseen(_) => "UNSEEN",
            Self::AppendUid { .. } => "APPENDUID",
            Self::CopyUid { .. } => "COPYUID",
            Self::UidNotSticky => "UIDNOTSTICKY",
            Self::HighestModSeq(_) => "HIGHESTMODSEQ",
            Self::NoModSeq => "NOMODSEQ",
            Self::Modified(_) => "MODIFIED",
            Self::Closed => "CLOSED",
            Self::TooBig => "TOOBIG",
            Self::UseAttr => "USEATTR",
            Self::Unavailable => "UNAVAILABLE",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Self::Expired => "EXPIRED",
            Self::PrivacyRequired => "PRIVACYREQUIRED",
            Self::ContactAdmin => "CONTACTADMIN",
            Self::NoPerm => "NOPERM",
            Self::InUse => "INUSE",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::Corruption => "CORRUPTION",
            Self::ServerBug => "SERVERBUG",
            Self::ClientBug => "CLIENTBUG",
            Self::Cannot => "CANNOT",
            Self::Limit => "LIMIT",
            Self::OverQuota => "OVERQUOTA",
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::NonExistent => "NONEXISTENT",
            Self::NoUpdate(_) => "NOUPDATE",
            Self::MailboxId(_) => "MAILBOXID",
            Self::InProgress { .. } => "INPROGRESS",
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name().as_bytes());
        match self {
            Self::BadCharset(charsets) => bad_charset(out, charsets),
            Self::Capability(names) => {
                for name in names {
                    out.push(b' ');
                    out.extend_from_slice(name.as_bytes());
                }
            }
            Self::PermanentFlags(flags, new_keywords) => {
                let star = new_keywords.then_some("\\*");
                let all: Vec<&str> = flags.iter().map(String::as_str).chain(star).collect();
                out.extend_from_slice(b" (");
                out.extend_from_slice(all.join(" ").as_bytes());
                out.push(b')');
            }
            Self::UidNext(n) | Self::UidValidity(n) | Self::Unseen(n) => spaced(out, u64::from(*n)),
            Self::HighestModSeq(n) => spaced(out, *n),
            Self::AppendUid { uid_validity, uids } => {
                spaced(out, u64::from(*uid_validity));
                runs(out, uids);
            }
            Self::CopyUid { uid_validity, from, to } => {
                spaced(out, u64::from(*uid_validity));
                runs(out, from);
                runs(out, to);
            }
            Self::Modified(set) => runs(out, set),
            Self::NoUpdate(tag) => {
                out.push(b' ');
                string(out, tag.as_bytes());
            }
            Self::MailboxId(id) => {
                out.extend_from_slice(b" (");
                out.extend_from_slice(object_id::of_mailbox(*id).as_bytes());
                out.push(b')');
            }
            Self::InProgress { tag, done, goal } => in_progress(out, tag, *done, *goal),
            _ => {}
        }
    }
}

fn bad_charset(out: &mut Vec<u8>, charsets: &[&str]) {
    for (i, charset) in charsets.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b" (" } else { b" " });
        astring(out, charset.as_bytes());
    }
    if !charsets.is_empty() {
        out.push(b')');
    }
}

fn in_progress(out: &mut Vec<u8>, tag: &str, done: u64, goal: Option<u64>) {
    out.extend_from_slice(b" (");
    string(out, tag.as_bytes());
    spaced(out, done);
    match goal {
        Some(goal) => spaced(out, goal),
        None => out.extend_from_slice(b" NIL"),
    }
    out.push(b')');
}

fn spaced(out: &mut Vec<u8>, number: u64) {
    out.push(b' ');
    number::number(out, number);
}

/// Numbers as a set, in their order: RFC 4315 section 3 pairs the two sets of COPYUID by
/// position, so only ascending neighbours become a run.
fn runs(out: &mut Vec<u8>, numbers: &[u32]) {
    out.push(b' ');
    number::ordered(out, numbers, false);
}
