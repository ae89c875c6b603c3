//! `mailcask search`: the keys of IMAP's SEARCH, from the shell.
//!
//! Sequence numbers count the messages as they are when the command begins; nothing is \Recent.

use crate::failure::{FAILED, say, usage};
use crate::output::{Output, table};
use crate::store;
use engine::attach::{Admin, MailboxInfo};
use engine::search::{Key, Plan, Step};
use engine::types::{AccountId, UidSet};
use imapd::proto::ast::{SearchKey, SequenceSet};
use imapd::proto::parse::search::parse_keys;
use imapd::session::search::key;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Search a mailbox with IMAP SEARCH keys, such as 'FROM ann SINCE 1-Feb-2024'; prints UIDs
#[derive(clap::Args)]
pub struct Args {
    account: String,
    /// As in RFC 3501 section 6.4.4
    keys: String,
    #[arg(long, value_name = "MAILBOX", default_value = "INBOX")]
    mailbox: String,
    /// Print how the search was answered, step by step, in place of the UIDs
    #[arg(long)]
    explain: bool,
}

#[derive(Serialize)]
struct Hits {
    mailbox: String,
    uidvalidity: u32,
    uids: Vec<u32>,
    /// Messages that could not be read and so could not be searched.
    unreadable: Vec<u32>,
    /// How they were found, when that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Plan>,
}

pub fn run(args: Args, dir: &Path, output: &Output) -> anyhow::Result<ExitCode> {
    let asked =
        parse_keys(&args.keys).map_err(|refusal| usage(format!("{}: {}", args.keys, refusal.text)))?;
    let admin = store::open(dir)?;
    let admin = admin.as_ref();
    let account = store::account(admin, &args.account)?;
    let mailbox = store::mailbox(admin, account, &args.mailbox)?;
    let key = resolved(admin, account, &mailbox, &asked)?;
    let found = admin.search(account, mailbox.id, &key)?;
    let hits = Hits {
        mailbox: mailbox.name,
        uidvalidity: mailbox.uid_validity.0,
        uids: found.uids.iter().collect(),
        unreadable: found.unreadable.iter().collect(),
        plan: args.explain.then_some(found.plan),
    };
    output.data(&hits, |out| match &hits.plan {
        Some(plan) => explain(out, plan, hits.uids.len()),
        None => hits.uids.iter().try_for_each(|uid| writeln!(out, "{uid}")),
    })?;
    admin.close()?;
    if hits.unreadable.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("messages that could not be read: UID {}", found.unreadable));
    Ok(ExitCode::from(FAILED))
}

/// The plan as a table: a part stands under its whole, deeper.
fn explain(out: &mut dyn Write, plan: &Plan, found: usize) -> io::Result<()> {
    let row = |step: &Step| {
        let key = format!("{}{}", "  ".repeat(step.depth as usize), step.label.said());
        let ms = step.micros.map(ms).unwrap_or_default();
        vec![step.rows_in.to_string(), step.rows_out.to_string(), ms, step.how_said(), key]
    };
    let rows: Vec<Vec<String>> = plan.steps.iter().map(row).collect();
    table(out, &["asked of", "match", "ms", "how", "key"], &rows)?;
    let (messages, read) = (plan.messages, plan.messages_read);
    writeln!(out, "{found} of {messages} messages found in {} ms, {read} messages read", ms(plan.micros))
}

fn ms(micros: u64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

/// The engine's form of the keys, with sets resolved against the mailbox as it is now.
fn resolved(
    admin: &dyn Admin,
    account: AccountId,
    mailbox: &MailboxInfo,
    asked: &SearchKey,
) -> anyhow::Result<Key> {
    let has_set = asked.any(&|key| matches!(key, SearchKey::SequenceSet(_) | SearchKey::Uid(_)));
    // Only sets need to know what is there.
    let present = if has_set { admin.search(account, mailbox.id, &Key::All)?.uids } else { UidSet::new() };
    key(asked, &|set: &SequenceSet, by_uid| {
        Ok(if by_uid { uids(set, &present) } else { numbered(set, &present) })
    })
}

fn uids(set: &SequenceSet, present: &UidSet) -> UidSet {
    let mut wanted = UidSet::new();
    for (first, last) in set.resolve(present.last()) {
        wanted.insert_range(first, last);
    }
    wanted.intersect(present)
}

fn numbered(set: &SequenceSet, present: &UidSet) -> UidSet {
    let exists = u32::try_from(present.len()).unwrap_or(u32::MAX);
    let mut numbers = UidSet::new();
    for (first, last) in set.resolve((exists > 0).then_some(exists)) {
        numbers.insert_range(first, last);
    }
    (1..).zip(present.iter()).filter(|(number, _)| numbers.contains(*number)).map(|(_, uid)| uid).collect()
}
