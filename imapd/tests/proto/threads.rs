//! THREAD responses: the RFC's examples, any tree there and back, and threads as deep as a mailbox.

use imapd::proto::write::ThreadResponse;
use proptest::collection::vec;
use proptest::prelude::*;

/// A member and its children, as a test likes to write them.
#[derive(Debug, Clone, PartialEq)]
struct Member(Option<u32>, Vec<Member>);

fn is(number: u32, children: &[Member]) -> Member {
    Member(Some(number), children.to_vec())
}

fn lost(children: &[Member]) -> Member {
    Member(None, children.to_vec())
}

fn written(threads: &[Member]) -> String {
    fn tell(response: &mut ThreadResponse, out: &mut Vec<u8>, members: &[Member]) {
        for Member(number, children) in members {
            response.member(out, *number, children.len() as u32);
            tell(response, out, children);
        }
    }
    let mut out = Vec::new();
    let mut response = ThreadResponse::new(&mut out);
    tell(&mut response, &mut out, threads);
    response.end(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn rfc5256_section_4() {
    let second = is(3, &[is(6, &[is(4, &[is(23, &[])]), is(44, &[is(7, &[is(96, &[])])])])]);
    assert_eq!(written(&[is(2, &[]), second]), "* THREAD (2)(3 6 (4 23)(44 7 96))\r\n");
    assert_eq!(written(&[lost(&[is(3, &[]), is(5, &[])])]), "* THREAD ((3)(5))\r\n");
    assert_eq!(written(&[]), "* THREAD\r\n");
}

#[test]
fn rfc5256_section_3() {
    let leaves = |numbers: &[u32]| numbers.iter().map(|&number| is(number, &[])).collect::<Vec<_>>();
    let ordered = [is(173, &[]), is(174, &leaves(&[175, 176, 178])), is(194, &leaves(&[195]))];
    assert_eq!(written(&ordered), "* THREAD (173)(174 (175)(176)(178))(194 195)\r\n");
    let thread = lost(&[
        is(177, &[]),
        is(188, &leaves(&[184, 189])),
        is(185, &leaves(&[186])),
        is(205, &[is(206, &leaves(&[207]))]),
    ]);
    assert_eq!(
        written(&[is(166, &[]), thread, is(208, &[])]),
        "* THREAD (166)((177)(188 (184)(189))(185 186)(205 206 207))(208)\r\n"
    );
    // A lost member below another.
    let nested = is(1, &[lost(&leaves(&[2, 3])), is(4, &[])]);
    assert_eq!(written(&[nested]), "* THREAD (1 ((2)(3))(4))\r\n");
}

/// `thread-data` of RFC 5256 section 5, by the letter.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn accept(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(found)..];
        found
    }

    fn lists(&mut self) -> Vec<Member> {
        let mut lists = Vec::new();
        while self.accept(b'(') {
            lists.push(self.members());
            assert!(self.accept(b')'), "a list ends at {:?}", String::from_utf8_lossy(self.0));
        }
        lists
    }

    fn members(&mut self) -> Member {
        if self.0.first() == Some(&b'(') {
            return Member(None, self.nested());
        }
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = std::str::from_utf8(&self.0[..digits]).unwrap().parse().unwrap();
        self.0 = &self.0[digits..];
        if !self.accept(b' ') {
            return is(number, &[]);
        }
        match self.0.first() {
            Some(b'(') => Member(Some(number), self.nested()),
            _ => is(number, &[self.members()]),
        }
    }

    /// `2*thread-list`
    fn nested(&mut self) -> Vec<Member> {
        let lists = self.lists();
        assert!(lists.len() >= 2, "one list is no thread-nested");
        lists
    }
}

/// A lost member is no only child: its children are.
fn unwrapped(mut children: Vec<Member>) -> Vec<Member> {
    while let [Member(None, inner)] = children.as_slice() {
        children = inner.clone();
    }
    children
}

fn member() -> impl Strategy<Value = Member> {
    any::<u32>().prop_map(|number| is(number, &[])).prop_recursive(12, 60, 5, |child| {
        prop_oneof![
            (any::<u32>(), vec(child.clone(), 1..5))
                .prop_map(|(number, children)| Member(Some(number), unwrapped(children))),
            vec(child, 2..5).prop_map(|children| Member(None, children)),
        ]
    })
}

proptest! {
    #[test]
    fn any_tree_is_read_back(threads in vec(member(), 1..6)) {
        let line = written(&threads);
        let lists = line.strip_prefix("* THREAD ").and_then(|rest| rest.strip_suffix("\r\n")).unwrap();
        let mut reader = Reader(lists.as_bytes());
        prop_assert_eq!(reader.lists(), threads, "{}", line);
        prop_assert!(reader.0.is_empty(), "{}", line);
    }
}

#[test]
fn a_thread_as_deep_as_a_mailbox() {
    const DEPTH: u32 = 200_000;
    let mut out = Vec::new();
    let mut response = ThreadResponse::new(&mut out);
    // In a line, and with two children at each step.
    for number in 1..DEPTH {
        response.member(&mut out, Some(number), 1);
    }
    response.member(&mut out, Some(DEPTH), 0);
    for number in 0..DEPTH {
        response.member(&mut out, Some(1), 2);
        response.member(&mut out, Some(number), 0);
    }
    response.member(&mut out, Some(7), 0);
    response.end(&mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("* THREAD (1 2 3 4 "));
    assert!(text.contains(" 199999 200000)(1 (0)(1 (1)(1 (2)(1 (3)(1 "));
    assert!(text.ends_with(&format!("(199999)(7{}\r\n", ")".repeat(DEPTH as usize + 1))));
    assert_eq!(text.matches('(').count(), text.matches(')').count());
}
