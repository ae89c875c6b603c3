//! Writes a command as some client might: any case, any spelling of a string that means the same.

use imapd::proto::ast::*;
use imapd::proto::date::format_date_time;
use imapd::proto::utf7;

use base64::Engine as _;
use engine::types::ZonedTime;

/// A client's habits, from a seed: the same seed writes the same bytes.
pub struct Client {
    seed: u64,
    /// Nothing beyond the grammar: one space where it has one, 7-bit quoted strings.
    strict: bool,
    pub out: Vec<u8>,
}

impl Client {
    pub fn new(seed: u64) -> Self {
        Self { seed: seed | 1, strict: false, out: Vec::new() }
    }

    pub fn strict(seed: u64) -> Self {
        Self { strict: true, ..Self::new(seed) }
    }

    pub fn command(mut self, command: &Command) -> Vec<u8> {
        self.raw(&command.tag);
        self.space();
        self.body(&command.body);
        self.raw("\r\n");
        self.out
    }

    /// xorshift64.
    fn choose(&mut self, of: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % of
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn space(&mut self) {
        let spaces = if self.choose(8) == 0 && !self.strict { "  " } else { " " };
        self.raw(spaces);
    }

    /// A keyword, in some case.
    fn word(&mut self, word: &str) {
        for c in word.chars() {
            let c = if self.choose(2) == 0 { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
            self.out.push(c as u8);
        }
    }

    fn argument(&mut self, word: &str) {
        self.space();
        self.raw(word);
    }

    fn string(&mut self, bytes: &[u8]) {
        self.spelled(bytes, false);
    }

    fn astring(&mut self, bytes: &[u8]) {
        self.spelled(bytes, true);
    }

    fn spelled(&mut self, bytes: &[u8], as_atom: bool) {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/.-_[]@+=&,".contains(byte);
        let text = if self.strict { bytes.is_ascii() } else { std::str::from_utf8(bytes).is_ok() };
        let quotable = text && !bytes.iter().any(|byte| b"\r\n\0".contains(byte));
        match self.choose(4) {
            0 if as_atom && !bytes.is_empty() && bytes.iter().all(plain) => self.out.extend_from_slice(bytes),
            1 | 2 if quotable => self.quoted(bytes),
            choice => {
                let plus = if choice == 3 { "+" } else { "" };
                self.raw(&format!("{{{}{plus}}}\r\n", bytes.len()));
                self.out.extend_from_slice(bytes);
            }
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        for &byte in bytes {
            if matches!(byte, b'"' | b'\\') {
                self.out.push(b'\\');
            }
            self.out.push(byte);
        }
        self.out.push(b'"');
    }

    fn mailbox(&mut self, name: &str) {
        self.space();
        self.mailbox_name(name);
    }

    fn mailbox_name(&mut self, name: &str) {
        if name == "INBOX" { self.word(name) } else { self.astring(utf7::encode(name).as_bytes()) }
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.raw("(");
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.space();
            }
            write(self, item);
        }
        self.raw(")");
    }

    fn body(&mut self, body: &CommandBody) {
        self.word(body.name());
        match body {
            CommandBody::Login { username, password } => {
                self.space();
                self.astring(username.as_bytes());
                self.space();
                self.astring(&password.0);
            }
            CommandBody::Authenticate { mechanism, initial_response } => {
                self.space();
                self.word(mechanism);
                if let Some(Secret(response)) = initial_response {
                    let text = base64::engine::general_purpose::STANDARD.encode(response);
                    self.argument(if text.is_empty() { "=" } else { &text });
                }
            }
            CommandBody::Enable(names) => {
                for name in names {
                    self.space();
                    self.word(name);
                }
            }
            CommandBody::Id(fields) => self.id(fields.as_deref()),
            CommandBody::Select { mailbox, condstore } | CommandBody::Examine { mailbox, condstore } => {
                self.mailbox(mailbox);
                if *condstore {
                    self.argument("(");
                    self.word("CONDSTORE");
                    self.raw(")");
                }
            }
            CommandBody::Create { mailbox, special_use } => {
                self.mailbox(mailbox);
                if !special_use.is_empty() {
                    self.argument("(USE (");
                    self.raw(&special_use.join(" "));
                    self.raw("))");
                }
            }
            CommandBody::Delete { mailbox }
            | CommandBody::Subscribe { mailbox }
            | CommandBody::Unsubscribe { mailbox } => self.mailbox(mailbox),
            CommandBody::Rename { from, to } => {
                self.mailbox(from);
                self.mailbox(to);
            }
            CommandBody::List(list) => self.list_command(list),
            CommandBody::Lsub { reference, pattern } => self.reference_and_pattern(reference, pattern),
            CommandBody::Status { mailbox, items } => {
                self.mailbox(mailbox);
                self.space();
                self.list(items, |client, item| client.word(item.name()));
            }
            CommandBody::Expunge { uids: Some(set) } => self.argument(&set.to_string()),
            CommandBody::Sort(sort) => self.sort(sort),
            CommandBody::Thread(thread) => self.thread(thread),
            CommandBody::Search(search) => {
                if let Some(returns) = &search.returns {
                    self.returns(returns);
                }
                self.keys(&search.key);
            }
            CommandBody::MultiSearch(search) => {
                if search.sources != [Source::Selected] || self.choose(2) == 0 {
                    self.space();
                    self.word("IN");
                    self.space();
                    self.list(&search.sources, Self::source);
                }
                if search.returns != (ReturnOptions { all: true, ..Default::default() })
                    || self.choose(2) == 0
                {
                    self.returns(&search.returns);
                }
                self.keys(&search.key);
            }
            CommandBody::CancelUpdate(tags) => {
                for tag in tags {
                    self.space();
                    self.string(tag.as_bytes());
                }
            }
            CommandBody::Fetch(fetch) => self.fetch(fetch),
            CommandBody::Store(store) => self.store(store),
            CommandBody::Copy { set, mailbox, .. } | CommandBody::Move { set, mailbox, .. } => {
                self.argument(&set.to_string());
                self.mailbox(mailbox);
            }
            _ => {}
        }
    }

    fn sort(&mut self, sort: &Sort) {
        if let Some(returns) = &sort.returns {
            self.returns(returns);
        }
        self.space();
        self.list(&sort.by, |client, criterion| {
            let (name, reverse) = match criterion {
                SortCriterion::Relevancy { reverse } => ("RELEVANCY", *reverse),
                SortCriterion::Key(key) => {
                    let (name, _) = SORT_KEYS.iter().find(|(_, by)| *by == key.by).unwrap();
                    (*name, key.reverse)
                }
            };
            if reverse {
                client.word("REVERSE");
                client.space();
            }
            client.word(name);
        });
        self.charset();
        self.keys(&sort.key);
    }

    fn thread(&mut self, thread: &Thread) {
        let (name, _) = THREAD_ALGORITHMS.iter().find(|(_, by)| *by == thread.by).unwrap();
        self.space();
        self.word(name);
        self.charset();
        self.keys(&thread.key);
    }

    fn charset(&mut self) {
        self.space();
        match self.choose(3) {
            0 => self.word("UTF-8"),
            1 => self.quoted(b"utf-8"),
            _ => self.word("US-ASCII"),
        }
    }

    fn id(&mut self, fields: Option<&[(String, Option<String>)]>) {
        self.space();
        match fields {
            None => self.word("NIL"),
            Some(fields) => self.list(fields, |client, (name, value)| {
                client.quoted(name.as_bytes());
                client.space();
                match value {
                    Some(value) => client.quoted(value.as_bytes()),
                    None => client.word("NIL"),
                }
            }),
        }
    }

    fn list_command(&mut self, list: &List) {
        if list.only_special_use {
            self.argument("(");
            self.word("SPECIAL-USE");
            self.raw(")");
        }
        self.reference_and_pattern(&list.reference, &list.pattern);
        if list.return_special_use {
            self.space();
            self.word("RETURN (SPECIAL-USE)");
        }
    }

    fn reference_and_pattern(&mut self, reference: &str, pattern: &str) {
        self.space();
        self.astring(utf7::encode(reference).as_bytes());
        self.space();
        self.astring(utf7::encode(pattern).as_bytes());
    }

    fn fetch(&mut self, fetch: &Fetch) {
        self.argument(&fetch.set.to_string());
        self.space();
        match fetch.items.as_slice() {
            [item] if self.choose(2) == 0 => self.item(item),
            items => self.list(items, Self::item),
        }
        let changed_since = fetch.changed_since.map(|modseq| format!("CHANGEDSINCE {modseq}"));
        let partial = fetch.partial.map(|range| format!("PARTIAL {range}"));
        let mut modifiers: Vec<String> = changed_since.into_iter().chain(partial).collect();
        if self.choose(2) == 0 {
            modifiers.reverse();
        }
        if !modifiers.is_empty() {
            self.space();
            self.list(&modifiers, |client, modifier| client.word(modifier));
        }
    }

    fn returns(&mut self, returns: &ReturnOptions) {
        let words = [
            (returns.min, "MIN"),
            (returns.max, "MAX"),
            (returns.all, "ALL"),
            (returns.count, "COUNT"),
            (returns.save, "SAVE"),
            (returns.relevancy, "RELEVANCY"),
            (returns.update, "UPDATE"),
            (returns.context, "CONTEXT"),
        ];
        let mut options: Vec<String> =
            words.iter().filter(|(is_on, _)| *is_on).map(|(_, word)| (*word).to_owned()).collect();
        options.extend(returns.partial.map(|range| format!("PARTIAL {range}")));
        if options == ["ALL"] && self.choose(2) == 0 {
            options.clear();
        }
        self.space();
        self.word("RETURN");
        self.space();
        self.list(&options, |client, option| client.word(option));
    }

    fn source(&mut self, source: &Source) {
        let (word, names) = match source {
            Source::Selected => ("SELECTED", None),
            Source::Inboxes => ("INBOXES", None),
            Source::Personal => ("PERSONAL", None),
            Source::Subscribed => ("SUBSCRIBED", None),
            Source::Subtree(names) => ("SUBTREE", Some(names)),
            Source::SubtreeOne(names) => ("SUBTREE-ONE", Some(names)),
            Source::Mailboxes(names) => ("MAILBOXES", Some(names)),
        };
        self.word(word);
        match names.map(Vec::as_slice) {
            None => {}
            Some([name]) if self.choose(2) == 0 => self.mailbox(name),
            Some(names) => {
                self.space();
                self.list(names, |client, name| client.mailbox_name(name));
            }
        }
    }

    fn keys(&mut self, key: &SearchKey) {
        let keys = match key {
            SearchKey::And(keys) => keys.as_slice(),
            key => std::slice::from_ref(key),
        };
        for key in keys {
            self.space();
            self.key(key);
        }
    }

    fn item(&mut self, item: &FetchItem) {
        let name = match item {
            FetchItem::Section(body) => return self.section(body),
            FetchItem::Body => "BODY",
            FetchItem::BodyStructure => "BODYSTRUCTURE",
            FetchItem::EmailId => "EMAILID",
            FetchItem::Envelope => "ENVELOPE",
            FetchItem::Flags => "FLAGS",
            FetchItem::InternalDate => "INTERNALDATE",
            FetchItem::ModSeq => "MODSEQ",
            FetchItem::Preview { lazy: false } => "PREVIEW",
            FetchItem::Preview { lazy: true } => "PREVIEW (LAZY)",
            FetchItem::Rfc822 => "RFC822",
            FetchItem::Rfc822Header => "RFC822.HEADER",
            FetchItem::Rfc822Size => "RFC822.SIZE",
            FetchItem::Rfc822Text => "RFC822.TEXT",
            FetchItem::SaveDate => "SAVEDATE",
            FetchItem::ThreadId => "THREADID",
            FetchItem::Uid => "UID",
        };
        self.word(name);
    }

    fn section(&mut self, body: &SectionBody) {
        self.word(if body.peek { "BODY.PEEK" } else { "BODY" });
        self.raw("[");
        let path: Vec<String> = body.section.path.iter().map(u32::to_string).collect();
        self.raw(&path.join("."));
        let (text, names) = match &body.section.text {
            SectionText::All => ("", None),
            SectionText::Header => ("HEADER", None),
            SectionText::HeaderFields(names) => ("HEADER.FIELDS", Some(names)),
            SectionText::HeaderFieldsNot(names) => ("HEADER.FIELDS.NOT", Some(names)),
            SectionText::Text => ("TEXT", None),
            SectionText::Mime => ("MIME", None),
        };
        if !path.is_empty() && !text.is_empty() {
            self.raw(".");
        }
        self.word(text);
        if let Some(names) = names {
            self.space();
            self.list(names, |client, name| client.astring(name.as_bytes()));
        }
        self.raw("]");
        if let Some(partial) = body.partial {
            self.raw(&format!("<{}.{}>", partial.first_byte, partial.length_bytes));
        }
    }

    fn store(&mut self, store: &Store) {
        self.argument(&store.set.to_string());
        if let Some(modseq) = store.unchanged_since {
            self.argument(&format!("(UNCHANGEDSINCE {modseq})"));
        }
        self.argument(match store.op {
            StoreOp::Replace => "",
            StoreOp::Add => "+",
            StoreOp::Remove => "-",
        });
        self.word(if store.silent { "FLAGS.SILENT" } else { "FLAGS" });
        self.space();
        if store.flags.is_empty() || self.choose(2) == 0 {
            self.list(&store.flags, |client, flag| client.raw(flag));
        } else {
            self.raw(&store.flags.join(" "));
        }
    }

    fn key(&mut self, key: &SearchKey) {
        use SearchKey::*;
        match key {
            And(keys) => self.list(keys, Self::key),
            Not(key) => {
                self.word("NOT ");
                self.key(key);
            }
            Fuzzy(key) => {
                self.word("FUZZY ");
                self.key(key);
            }
            Older(seconds) => self.raw(&format!("OLDER {seconds}")),
            Younger(seconds) => self.raw(&format!("YOUNGER {seconds}")),
            EmailId(id) => self.raw(&format!("EMAILID {id}")),
            ThreadId(id) => self.raw(&format!("threadid {id}")),
            SavedBefore(day) => self.date_key("SAVEDBEFORE", *day),
            SavedOn(day) => self.date_key("SAVEDON", *day),
            SavedSince(day) => self.date_key("SAVEDSINCE", *day),
            SaveDateSupported => self.word("SAVEDATESUPPORTED"),
            Or(left, right) => {
                self.word("OR ");
                self.key(left);
                self.space();
                self.key(right);
            }
            SequenceSet(set) => self.raw(&set.to_string()),
            Uid(set) => self.raw(&format!("UID {set}")),
            Header(name, value) => {
                self.word("HEADER");
                for text in [name, value] {
                    self.space();
                    self.astring(text.as_bytes());
                }
            }
            Bcc(text) => self.text_key("BCC", text),
            Body(text) => self.text_key("BODY", text),
            Cc(text) => self.text_key("CC", text),
            From(text) => self.text_key("FROM", text),
            Subject(text) => self.text_key("SUBJECT", text),
            Text(text) => self.text_key("TEXT", text),
            To(text) => self.text_key("TO", text),
            Keyword(flag) => self.raw(&format!("KEYWORD {flag}")),
            Unkeyword(flag) => self.raw(&format!("unkeyword {flag}")),
            Larger(size) => self.raw(&format!("LARGER {size}")),
            Smaller(size) => self.raw(&format!("SMALLER {size}")),
            Before(day) => self.date_key("BEFORE", *day),
            On(day) => self.date_key("ON", *day),
            Since(day) => self.date_key("SINCE", *day),
            SentBefore(day) => self.date_key("SENTBEFORE", *day),
            SentOn(day) => self.date_key("SENTON", *day),
            SentSince(day) => self.date_key("SENTSINCE", *day),
            ModSeq { entry, at_least } => {
                self.word("MODSEQ ");
                if let Some(entry) = entry {
                    self.quoted(entry.as_bytes());
                    self.raw(" all ");
                }
                self.raw(&at_least.to_string());
            }
            plain => self.word(&format!("{plain:?}")),
        }
    }

    fn text_key(&mut self, name: &str, text: &str) {
        self.word(name);
        self.space();
        self.astring(text.as_bytes());
    }

    fn date_key(&mut self, name: &str, day: i64) {
        let date_time = format_date_time(ZonedTime::utc(day * 86_400));
        let date = date_time[..11].trim_start();
        self.word(name);
        let quote = if self.choose(2) == 0 { "\"" } else { "" };
        self.argument(&format!("{quote}{date}{quote}"));
    }
}
