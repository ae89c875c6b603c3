//! THREAD against the RFC's text, done word by word.

mod literal;

use crate::search::order::{ThreadBy, Threads};
use crate::search::tests::{Inbox, Mail};
use crate::sys::sim::{Rng, seeds};
use crate::types::Uid;
use literal::{Letter, literal};

fn inbox(letters: &[Letter]) -> Inbox {
    Inbox::new(letters.iter().enumerate().map(|(n, letter)| mail(n, letter)).collect())
}

fn mail(n: usize, letter: &Letter) -> Mail {
    let mut header = format!("Subject: {}\r\n", letter.subject);
    if let Some(id) = &letter.id {
        header += &format!("Message-ID: {id}\r\n");
    }
    if !letter.references.is_empty() {
        header += &format!("References: {}\r\n", letter.references.join("\r\n "));
    }
    header += "\r\n";
    Mail { header, arrived_s: letter.sent_s, email: n as u32, ..Mail::default() }
}

fn letter(id: &str, references: &[&str], subject: &str, sent_s: i64) -> Letter {
    Letter {
        id: (!id.is_empty()).then(|| format!("<{id}>")),
        references: references.iter().map(|id| format!("<{id}>")).collect(),
        subject: subject.to_owned(),
        sent_s,
    }
}

fn threads(letters: &[Letter], by: ThreadBy) -> String {
    inbox(letters).threads(by)
}

/// RFC 5256 section 4.
#[test]
fn responses_as_in_the_rfc() {
    let written = |nodes: &[(u32, usize)]| {
        let mut threads = Threads::default();
        nodes.iter().for_each(|(uid, children)| threads.push((*uid > 0).then_some(Uid(*uid)), *children));
        threads.to_string()
    };
    let nodes = [(2, 0), (3, 1), (6, 2), (4, 1), (23, 0), (44, 1), (7, 1), (96, 0)];
    assert_eq!(written(&nodes), "(2)(3 6 (4 23)(44 7 96))");
    assert_eq!(written(&[(0, 2), (3, 0), (5, 0)]), "((3)(5))");
    assert_eq!(written(&[(0, 2), (3, 2), (4, 0), (5, 0), (6, 0), (7, 0)]), "((3 (4)(5))(6))(7)");
    assert_eq!(written(&[]), "");
}

#[test]
fn ordered_subject() {
    let letters = [
        letter("1", &[], "b", 30),
        letter("2", &[], "a", 20),
        letter("3", &[], "Re: b", 10),
        letter("4", &[], "re: A", 25),
        letter("5", &[], "[x] a (fwd)", 20),
        letter("6", &[], "", 20),
        letter("7", &[], "Re:", 40),
    ];
    assert_eq!(threads(&letters, ThreadBy::OrderedSubject), "(3 1)(2 (5)(4))(6 7)");
    assert_eq!(threads(&[], ThreadBy::OrderedSubject), "");
}

#[test]
fn references() {
    let letters = [
        letter("a", &[], "x", 1),
        letter("b", &["a"], "y", 5),
        letter("c", &["a"], "z", 3),
        letter("d", &["gone", "b"], "w", 4),
        letter("e", &["lost"], "v", 8),
        letter("f", &["lost"], "u", 7),
        letter("g", &["left"], "t", 0),
    ];
    assert_eq!(threads(&letters, ThreadBy::References), "(7)(1 (3)(2 4))((6)(5))");
    assert_eq!(threads(&letters, ThreadBy::Refs), "(7)(1 (3)(2 4))((6)(5))");
}

#[test]
fn subjects_gather() {
    for (subjects, expected) in [
        (["a", "Re: a"], "(1 2)"),
        (["Re: a", "a"], "(2 1)"),
        (["a", "a"], "((1)(2))"),
        (["Re: a", "Re: a"], "((1)(2))"),
        (["", ""], "(1)(2)"),
        (["Re:", ""], "(1)(2)"),
    ] {
        let letters = [letter("1", &[], subjects[0], 1), letter("2", &[], subjects[1], 2)];
        assert_eq!(threads(&letters, ThreadBy::References), expected, "{subjects:?}");
        assert_eq!(threads(&letters, ThreadBy::Refs), "(1)(2)");
    }
}

/// The latest message moves a thread to the end.
#[test]
fn refs_stand_by_their_latest() {
    let letters = [letter("a", &[], "x", 1), letter("b", &[], "y", 5), letter("c", &["a"], "x", 9)];
    assert_eq!(threads(&letters, ThreadBy::References), "(1 3)(2)");
    assert_eq!(threads(&letters, ThreadBy::Refs), "(2)(1 3)");
}

/// Loops, the same id twice, ids of its own, ids quoted in two ways, and no ids at all.
#[test]
fn odd_ids() {
    let loops = [letter("a", &["b"], "1", 1), letter("b", &["a"], "2", 2), letter("c", &["c"], "3", 3)];
    assert_eq!(threads(&loops, ThreadBy::Refs), "(2 1)(3)");
    let twice = [letter("a", &[], "1", 1), letter("a", &[], "2", 2), letter("b", &["a"], "3", 3)];
    assert_eq!(threads(&twice, ThreadBy::Refs), "(2)(1 3)");
    let quoted = [letter("\"a\"@x", &[], "1", 1), letter("b", &["a@x"], "2", 2), letter("", &["b"], "3", 3)];
    assert_eq!(threads(&quoted, ThreadBy::Refs), "(1 2 3)");
}

fn some_letters(rng: &mut Rng) -> Vec<Letter> {
    let subjects = ["", "a", "Re: a", "b", "[l] Re: b", "b (fwd)", "c", "Re: c"];
    let ids = 2 + rng.below(12);
    let some_id = |rng: &mut Rng| format!("<{}@x>", rng.below(ids));
    (0..rng.below(14))
        .map(|_| Letter {
            id: (!rng.one_in(6)).then(|| some_id(rng)),
            references: (0..rng.below(5)).map(|_| some_id(rng)).collect(),
            subject: subjects[rng.below(8) as usize].to_owned(),
            sent_s: rng.below(6) as i64,
        })
        .collect()
}

#[test]
fn agrees_with_the_words_of_the_rfc() {
    for seed in seeds(6000) {
        let letters = some_letters(&mut Rng::new(seed));
        for by in [ThreadBy::References, ThreadBy::Refs] {
            let expected = literal(&letters, by == ThreadBy::References);
            assert_eq!(threads(&letters, by), expected, "MAILCASK_SEED={seed}, {by:?}: {letters:#?}");
        }
    }
}

/// Enough messages for two threads, in threads of every shape.
#[test]
fn agrees_with_the_words_of_the_rfc_at_length() {
    for seed in seeds(3) {
        let mut rng = Rng::new(seed);
        let letters: Vec<Letter> = (0..20_000_u64)
            .map(|n| Letter {
                id: Some(format!("<{n}@x>")),
                references: (0..rng.below(3))
                    .map(|_| format!("<{}@x>", n.saturating_sub(1 + rng.below(40))))
                    .collect(),
                subject: format!("{}{}", if rng.one_in(2) { "Re: " } else { "" }, rng.below(15_000)),
                sent_s: (n / 3) as i64,
            })
            .collect();
        let inbox = inbox(&letters);
        inbox.cover(15_000);
        for by in [ThreadBy::References, ThreadBy::Refs] {
            assert!(
                inbox.threads(by) == literal(&letters, by == ThreadBy::References),
                "MAILCASK_SEED={seed}, {by:?}"
            );
        }
    }
}

/// No depth exhausts a stack, in whatever order the messages are.
#[test]
fn deep_chains() {
    const DEPTH: usize = 30_000;
    let chain = |n: usize| {
        let id = format!("{n}@x");
        let before = n.checked_sub(1).map(|n| format!("{n}@x"));
        let references: Vec<&str> = before.as_deref().into_iter().collect();
        letter(&id, &references, "x", n as i64)
    };
    let mut order: Vec<usize> = (0..DEPTH).collect();
    let mut rng = Rng::new(3);
    for kind in ["in order", "in reverse", "mixed"] {
        match kind {
            "in reverse" => order.reverse(),
            "mixed" => (1..DEPTH).for_each(|at| order.swap(at, rng.below(at as u64 + 1) as usize)),
            _ => {}
        }
        let letters: Vec<Letter> = order.iter().map(|n| chain(*n)).collect();
        let mut uids = vec![0; DEPTH];
        order.iter().enumerate().for_each(|(at, n)| uids[*n] = at + 1);
        let expected = format!("({})", uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
        assert!(threads(&letters, ThreadBy::References) == expected, "{kind}");
    }
}
