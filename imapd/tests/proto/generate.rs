//! Any command, for proptest.

use engine::search::{SortBy, SortKey};
use imapd::proto::ast::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    // A literal may hold anything but NUL.
    prop_oneof!["[a-zA-Z0-9 \"\\\\]{0,12}", any::<String>().prop_map(|text| text.replace('\0', " "))]
}

fn mailbox() -> impl Strategy<Value = String> {
    let name = any::<String>().prop_filter("INBOX has one spelling", |name| {
        name.eq_ignore_ascii_case("INBOX") == (name == "INBOX")
    });
    prop_oneof![Just("INBOX".to_owned()), "[a-zA-Z&/ ü台]{1,12}", name]
        .prop_filter("INBOX has one spelling", |name| name == "INBOX" || !name.eq_ignore_ascii_case("INBOX"))
}

fn seq_number() -> impl Strategy<Value = SeqNumber> {
    prop_oneof![(1..=u32::MAX).prop_map(SeqNumber::Number), Just(SeqNumber::Largest)]
}

/// Tidy: one range, its ends in order.
fn set(tidy: bool) -> BoxedStrategy<SequenceSet> {
    if tidy {
        let last = prop_oneof![Just(u32::MAX), any::<u32>()];
        return (1..=u32::MAX, last).prop_map(|(a, b)| tidy_set(a, b)).boxed();
    }
    let ranges = || vec((seq_number(), seq_number()), 1..5);
    prop_oneof![
        4 => ranges().prop_map(SequenceSet::from),
        1 => Just(SequenceSet::saved()),
        1 => ranges().prop_map(|ranges| SequenceSet { ranges, saved: true }),
    ]
    .boxed()
}

fn tidy_set(a: u32, b: u32) -> SequenceSet {
    match b {
        0 => SequenceSet::from_range(a, a),
        u32::MAX => SequenceSet::from(vec![(SeqNumber::Number(a), SeqNumber::Largest)]),
        b => SequenceSet::from_range(a.min(b), a.max(b)),
    }
}

fn keyword() -> impl Strategy<Value = String> {
    "[a-zA-Z$][a-zA-Z0-9_.-]{0,8}"
}

fn flags() -> impl Strategy<Value = Vec<String>> {
    let system = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"].map(str::to_owned);
    vec(prop_oneof![proptest::sample::select(system.to_vec()), keyword()], 0..5).prop_map(|flags| {
        let mut unique: Vec<String> = Vec::new();
        for flag in flags {
            if !unique.iter().any(|known| known.eq_ignore_ascii_case(&flag)) {
                unique.push(flag);
            }
        }
        unique
    })
}

fn modseq() -> impl Strategy<Value = u64> {
    0..=i64::MAX as u64
}

fn section_text(in_part: bool) -> impl Strategy<Value = SectionText> {
    let names = || vec(text().prop_filter("a name is not empty", |name| !name.is_empty()), 1..4);
    prop_oneof![
        Just(SectionText::All),
        Just(SectionText::Header),
        names().prop_map(SectionText::HeaderFields),
        names().prop_map(SectionText::HeaderFieldsNot),
        Just(if in_part { SectionText::Mime } else { SectionText::Text }),
    ]
}

pub fn section() -> impl Strategy<Value = Section> {
    vec(1..=u32::MAX, 0..4).prop_flat_map(|path| {
        section_text(!path.is_empty()).prop_map(move |text| Section { path: path.clone(), text })
    })
}

fn fetch_item() -> impl Strategy<Value = FetchItem> {
    use FetchItem::*;
    let plain = [
        Body,
        BodyStructure,
        EmailId,
        Envelope,
        Flags,
        InternalDate,
        ModSeq,
        Preview { lazy: false },
        Preview { lazy: true },
        Rfc822,
        Rfc822Header,
        Rfc822Size,
        Rfc822Text,
        SaveDate,
        ThreadId,
        Uid,
    ];
    let partial = (any::<u32>(), 1..=u32::MAX)
        .prop_map(|(first_byte, length_bytes)| Partial { first_byte, length_bytes });
    let body = (section(), any::<bool>(), option::of(partial))
        .prop_map(|(section, peek, partial)| Section(SectionBody { section, peek, partial }));
    prop_oneof![proptest::sample::select(plain.to_vec()), body]
}

fn search_key(tidy: bool) -> impl Strategy<Value = SearchKey> {
    use SearchKey::*;
    let flags = [
        All,
        Answered,
        Deleted,
        Draft,
        Flagged,
        New,
        Old,
        Recent,
        SaveDateSupported,
        Seen,
        Unanswered,
        Undeleted,
        Undraft,
        Unflagged,
        Unseen,
    ];
    let day = || 0_i64..40_000;
    let leaf = prop_oneof![
        proptest::sample::select(flags.to_vec()),
        text().prop_map(Bcc),
        text().prop_map(Subject),
        text().prop_map(Text),
        (text(), text()).prop_map(|(name, value)| Header(name, value)),
        day().prop_map(Before),
        day().prop_map(SentSince),
        day().prop_map(SavedOn),
        day().prop_map(SavedSince),
        any::<u64>().prop_map(Larger),
        (1..=u32::MAX).prop_map(Older),
        (1..=u32::MAX).prop_map(Younger),
        "[A-Za-z0-9_-]{1,20}".prop_map(EmailId),
        "[A-Za-z0-9_-]{1,20}".prop_map(ThreadId),
        keyword().prop_map(Keyword),
        (option::of("/flags/[$a-z\\\\]{1,8}"), modseq())
            .prop_map(|(entry, at_least)| ModSeq { entry, at_least }),
        set(tidy).prop_map(SequenceSet),
        set(tidy).prop_map(Uid),
    ];
    leaf.prop_recursive(4, 24, 4, |key| {
        prop_oneof![
            vec(key.clone(), 2..4).prop_map(And),
            key.clone().prop_map(|key| Not(Box::new(key))),
            key.clone().prop_map(|key| Fuzzy(Box::new(key))),
            (key.clone(), key).prop_map(|(left, right)| Or(Box::new(left), Box::new(right))),
        ]
    })
}

fn partial_range() -> impl Strategy<Value = PartialRange> {
    (1..=u32::MAX, 1..=u32::MAX, any::<bool>()).prop_map(|(from, to, from_end)| PartialRange {
        from,
        to,
        from_end,
    })
}

/// Whatever fits the key.
fn returns() -> impl Strategy<Value = ReturnOptions> {
    let one = || (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (one(), one(), option::of(partial_range())).prop_map(
        |((min, max, all, count), (save, relevancy, update, context), partial)| {
            let mut returns =
                ReturnOptions { min, max, all, count, save, relevancy, update, context, partial };
            returns.all &= partial.is_none();
            returns.all |= returns == ReturnOptions::default();
            returns
        },
    )
}

fn search(tidy: bool) -> impl Strategy<Value = (ReturnOptions, SearchKey)> {
    (returns(), search_key(tidy)).prop_map(|(mut returns, key)| {
        returns.relevancy &= key.uses_fuzzy();
        returns.all |= returns == ReturnOptions::default();
        (returns, key)
    })
}

fn source() -> impl Strategy<Value = Source> {
    let names = || vec(mailbox(), 1..4);
    prop_oneof![
        Just(Source::Selected),
        Just(Source::Inboxes),
        Just(Source::Personal),
        Just(Source::Subscribed),
        names().prop_map(Source::Subtree),
        names().prop_map(Source::SubtreeOne),
        names().prop_map(Source::Mailboxes),
    ]
}

fn multi_search(tidy: bool) -> impl Strategy<Value = MultiSearch> {
    (vec(source(), 1..4), search(tidy)).prop_map(|(sources, (mut returns, key))| {
        returns.save &= sources.iter().all(|source| *source == Source::Selected);
        returns.all |= returns == ReturnOptions::default();
        MultiSearch { sources, returns, key }
    })
}

fn sort_criteria() -> impl Strategy<Value = Vec<SortCriterion>> {
    let by = proptest::sample::select(SORT_KEYS.map(|(_, by)| by).to_vec());
    let key = (by, any::<bool>()).prop_map(|(by, reverse)| SortCriterion::Key(SortKey { by, reverse }));
    let relevancy = any::<bool>().prop_map(|reverse| SortCriterion::Relevancy { reverse });
    vec(prop_oneof![8 => key, 1 => relevancy], 1..4)
}

/// Whatever fits the key.
fn sort(tidy: bool) -> impl Strategy<Value = Sort> {
    (any::<bool>(), any::<bool>(), sort_criteria(), search(tidy)).prop_map(
        |(uid, extended, mut by, (returns, key))| {
            if !key.uses_fuzzy() {
                by.retain(|criterion| matches!(criterion, SortCriterion::Key(_)));
            }
            if by.is_empty() {
                by.push(SortCriterion::Key(SortKey { by: SortBy::Date, reverse: false }));
            }
            Sort { uid, returns: extended.then_some(returns), by, key }
        },
    )
}

fn sort_command(tidy: bool) -> impl Strategy<Value = CommandBody> {
    let by = proptest::sample::select(THREAD_ALGORITHMS.map(|(_, by)| by).to_vec());
    let thread = (any::<bool>(), by, search_key(tidy)).prop_map(|(uid, by, key)| Thread { uid, by, key });
    prop_oneof![sort(tidy).prop_map(CommandBody::Sort), thread.prop_map(CommandBody::Thread)]
}

fn message_command(tidy: bool) -> impl Strategy<Value = CommandBody> {
    let op = proptest::sample::select(vec![StoreOp::Replace, StoreOp::Add, StoreOp::Remove]);
    prop_oneof![
        option::of(set(tidy)).prop_map(|uids| CommandBody::Expunge { uids }),
        (any::<bool>(), search_key(tidy)).prop_map(|(uid, key)| CommandBody::Search(Search {
            uid,
            returns: None,
            key
        })),
        (any::<bool>(), search(tidy)).prop_map(|(uid, (returns, key))| {
            CommandBody::Search(Search { uid, returns: Some(returns), key })
        }),
        multi_search(tidy).prop_map(CommandBody::MultiSearch),
        vec(text(), 1..4).prop_map(CommandBody::CancelUpdate),
        (
            set(tidy),
            any::<bool>(),
            vec(fetch_item(), 1..5),
            option::of(modseq()),
            option::of(partial_range())
        )
            .prop_map(|(set, uid, items, changed_since, partial)| {
                let partial = partial.filter(|_| uid);
                CommandBody::Fetch(Fetch { set, uid, items, changed_since, partial })
            }),
        (set(tidy), any::<bool>(), option::of(modseq()), op, any::<bool>(), flags()).prop_map(
            |(set, uid, unchanged_since, op, silent, flags)| {
                CommandBody::Store(Store { set, uid, unchanged_since, op, silent, flags })
            }
        ),
        (set(tidy), any::<bool>(), mailbox()).prop_map(|(set, uid, mailbox)| CommandBody::Copy {
            set,
            uid,
            mailbox
        }),
        (set(tidy), any::<bool>(), mailbox()).prop_map(|(set, uid, mailbox)| CommandBody::Move {
            set,
            uid,
            mailbox
        }),
    ]
}

fn mailbox_command() -> impl Strategy<Value = CommandBody> {
    let items = vec(proptest::sample::select(StatusItem::ALL.to_vec()), 1..5);
    let uses = vec("\\\\[A-Za-z]{1,8}", 0..3);
    // A pattern's wildcards are ordinary characters here.
    prop_oneof![
        (mailbox(), any::<bool>())
            .prop_map(|(mailbox, condstore)| CommandBody::Select { mailbox, condstore }),
        (mailbox(), any::<bool>())
            .prop_map(|(mailbox, condstore)| CommandBody::Examine { mailbox, condstore }),
        (mailbox(), uses).prop_map(|(mailbox, special_use)| CommandBody::Create { mailbox, special_use }),
        mailbox().prop_map(|mailbox| CommandBody::Delete { mailbox }),
        (mailbox(), mailbox()).prop_map(|(from, to)| CommandBody::Rename { from, to }),
        mailbox().prop_map(|mailbox| CommandBody::Subscribe { mailbox }),
        mailbox().prop_map(|mailbox| CommandBody::Unsubscribe { mailbox }),
        (text(), text(), any::<bool>(), any::<bool>()).prop_map(
            |(reference, pattern, only_special_use, return_special_use)| {
                CommandBody::List(List { reference, pattern, only_special_use, return_special_use })
            }
        ),
        (text(), text()).prop_map(|(reference, pattern)| CommandBody::Lsub { reference, pattern }),
        (mailbox(), items).prop_map(|(mailbox, items)| CommandBody::Status { mailbox, items }),
    ]
}

fn session_command() -> impl Strategy<Value = CommandBody> {
    use CommandBody::*;
    let plain = [Capability, Noop, Logout, StartTls, Namespace, Idle, Check, Close, Unselect];
    let quotable = || "[a-zA-Z0-9 \"\\\\ü]{0,12}";
    let password = vec(1_u8.., 0..12).prop_map(Secret);
    let response = option::of(vec(any::<u8>(), 0..12).prop_map(Secret));
    prop_oneof![
        proptest::sample::select(plain.to_vec()),
        (text(), password).prop_map(|(username, password)| Login { username, password }),
        ("[A-Z0-9_-]{1,20}", response)
            .prop_map(|(mechanism, initial_response)| Authenticate { mechanism, initial_response }),
        vec("[A-Z][A-Z0-9=-]{0,12}", 1..4).prop_map(Enable),
        option::of(vec((quotable(), option::of(quotable())), 0..4)).prop_map(Id),
    ]
}

pub fn command(tidy: bool) -> impl Strategy<Value = Command> {
    let body = prop_oneof![
        2 => session_command(),
        2 => mailbox_command(),
        2 => message_command(tidy),
        1 => sort_command(tidy),
    ];
    ("[a-zA-Z0-9.\\]-]{1,8}", body).prop_map(|(tag, body)| Command { tag, body })
}
