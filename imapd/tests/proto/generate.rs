//! Any command, for proptest.

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
    vec((seq_number(), seq_number()), 1..5).prop_map(SequenceSet).boxed()
}

fn tidy_set(a: u32, b: u32) -> SequenceSet {
    match b {
        0 => SequenceSet::from_range(a, a),
        u32::MAX => SequenceSet(vec![(SeqNumber::Number(a), SeqNumber::Largest)]),
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
        Envelope,
        Flags,
        InternalDate,
        ModSeq,
        Rfc822,
        Rfc822Header,
        Rfc822Size,
        Rfc822Text,
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
        All, Answered, Deleted, Draft, Flagged, New, Old, Recent, Seen, Unanswered, Undeleted, Undraft,
        Unflagged, Unseen,
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
        any::<u64>().prop_map(Larger),
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
            (key.clone(), key).prop_map(|(left, right)| Or(Box::new(left), Box::new(right))),
        ]
    })
}

fn message_command(tidy: bool) -> impl Strategy<Value = CommandBody> {
    let op = proptest::sample::select(vec![StoreOp::Replace, StoreOp::Add, StoreOp::Remove]);
    prop_oneof![
        option::of(set(tidy)).prop_map(|uids| CommandBody::Expunge { uids }),
        (any::<bool>(), search_key(tidy)).prop_map(|(uid, key)| CommandBody::Search(Search { uid, key })),
        (set(tidy), any::<bool>(), vec(fetch_item(), 1..5), option::of(modseq())).prop_map(
            |(set, uid, items, changed_since)| CommandBody::Fetch(Fetch { set, uid, items, changed_since })
        ),
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
    let body = prop_oneof![session_command(), mailbox_command(), message_command(tidy)];
    ("[a-zA-Z0-9.\\]-]{1,8}", body).prop_map(|(tag, body)| Command { tag, body })
}
