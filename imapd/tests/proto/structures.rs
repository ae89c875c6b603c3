//! ENVELOPE and BODYSTRUCTURE on the wire: the RFC's example, and imap-codec (written
//! by others) reading the same from whatever they hold.

use engine::mime::structure::{Body, Disposition, Fields, Structure};
use engine::mime::{self, Address, Envelope, envelope};
use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::body::{BodyStructure, SpecificFields};
use imap_codec::imap_types::core::{IString, NString};
use imap_codec::imap_types::envelope::{Address as ReadAddress, Envelope as ReadEnvelope};
use imap_codec::imap_types::fetch::MessageDataItem;
use imap_codec::imap_types::response::{Data, Response};
use imapd::proto::write::FetchResponse;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn fetched(write: impl FnOnce(&mut FetchResponse<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut response = FetchResponse::begin(&mut out, 12);
    write(&mut response);
    response.end();
    out
}

/// RFC 3501 section 8: the session that everybody quotes.
const MESSAGE: &str = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
    From: Terry Gray <gray@cac.washington.edu>\r\n\
    Subject: IMAP4rev1 WG mtg summary and minutes\r\n\
    To: imap@cac.washington.edu\r\n\
    cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
    Message-Id: <B27397-0100000@cac.washington.edu>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\
    \r\n";

#[test]
fn the_envelope_of_rfc3501_section_8() {
    let found = envelope::parse(MESSAGE.as_bytes());
    let wire = String::from_utf8(fetched(|response| response.envelope(&found))).unwrap();
    let gray = "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\"))";
    let expected = format!(
        "* 12 FETCH (ENVELOPE (\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
         \"IMAP4rev1 WG mtg summary and minutes\" {gray} {gray} {gray} \
         ((NIL NIL \"imap\" \"cac.washington.edu\")) \
         ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) \
         NIL NIL \"<B27397-0100000@cac.washington.edu>\"))\r\n"
    );
    assert_eq!(wire, expected);
}

fn structure_of(message: &str, extended: bool) -> String {
    let raw = message.replace('\n', "\r\n");
    let found = mime::structure::of(&mime::parse(raw.as_bytes()), raw.as_bytes());
    let wire = fetched(|response| match extended {
        true => response.body_structure(&found),
        false => response.body(&found),
    });
    String::from_utf8(wire).unwrap()
}

const NESTED: &str = "Content-Type: multipart/mixed; boundary=b\n\
    Content-Language: en, de\n\
    \n\
    --b\n\
    Content-Type: Text/PLAIN; charset=us-ascii\n\
    Content-ID: <1@x>\n\
    Content-Disposition: inline; filename=\"a b\"\n\
    \n\
    one\n\
    two\n\
    --b\n\
    Content-Type: message/rfc822\n\
    \n\
    Subject: inner\n\
    \n\
    hi\n\
    --b--\n";

#[test]
fn a_nested_structure() {
    let text = "\"Text\" \"PLAIN\" (\"charset\" \"us-ascii\") \"<1@x>\" NIL \"7bit\" 8 1";
    let message_fields = "\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 20";
    let inner_envelope = "(NIL \"inner\" NIL NIL NIL NIL NIL NIL NIL NIL)";
    let inner = "\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 2 0";
    assert_eq!(
        structure_of(NESTED, false),
        format!("* 12 FETCH (BODY (({text})({message_fields} {inner_envelope} ({inner}) 2) \"mixed\"))\r\n")
    );
    let none = "NIL NIL NIL NIL";
    assert_eq!(
        structure_of(NESTED, true),
        format!(
            "* 12 FETCH (BODYSTRUCTURE (({text} NIL (\"inline\" (\"filename\" \"a b\")) NIL NIL)\
             ({message_fields} {inner_envelope} ({inner} {none}) 2 {none}) \"mixed\" (\"boundary\" \"b\") \
             NIL (\"en\" \"de\") NIL))\r\n"
        )
    );
}

#[test]
fn one_language_is_a_string() {
    let wire = structure_of("Content-Type: text/plain\nContent-Language: en\n\nx\n", true);
    assert!(wire.ends_with(" NIL NIL \"en\" NIL))\r\n"), "{wire}");
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof!["[a-z \"\\\\]{0,8}".prop_map(String::into_bytes), vec(1_u8.., 0..8)]
}

fn addresses() -> impl Strategy<Value = Vec<Address>> {
    let address = (option::of(bytes()), option::of(bytes()), option::of(bytes()), option::of(bytes()))
        .prop_map(|(name, route, mailbox, host)| Address { name, route, mailbox, host });
    vec(address, 0..3)
}

fn any_envelope() -> impl Strategy<Value = Envelope> {
    let lists = (addresses(), addresses(), addresses(), addresses(), addresses(), addresses());
    let texts = (option::of(bytes()), option::of(bytes()), option::of(bytes()), option::of(bytes()));
    (texts, lists).prop_map(|(texts, (from, sender, reply_to, to, cc, bcc))| {
        let (date, subject, in_reply_to, message_id) = texts;
        Envelope { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id }
    })
}

fn params() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    vec((bytes(), bytes()), 0..3)
}

fn leaf() -> impl Strategy<Value = Structure> {
    let fields = (option::of(bytes()), option::of(bytes()), bytes(), any::<u32>(), option::of(bytes()))
        .prop_map(|(id, description, encoding, size, md5)| Fields {
            id,
            description,
            encoding,
            size_bytes: u64::from(size),
            md5,
        });
    let disposition = option::of((bytes(), params()).prop_map(|(kind, params)| Disposition { kind, params }));
    let extension = (params(), disposition, vec(bytes(), 0..3), option::of(bytes()));
    (fields, option::of(any::<u32>()), extension).prop_map(
        |(fields, lines, (params, disposition, language, location))| {
            let (media_type, body) = match lines {
                Some(lines) => ("text", Body::Text { fields, lines: u64::from(lines) }),
                None => ("image", Body::Basic(fields)),
            };
            Structure {
                media_type: media_type.into(),
                subtype: b"x".to_vec(),
                params,
                disposition,
                language,
                location,
                body,
            }
        },
    )
}

fn any_structure() -> impl Strategy<Value = Structure> {
    leaf().prop_recursive(3, 12, 3, |part| {
        let outer = |(mut like, body): (Structure, Body)| {
            let multipart = matches!(body, Body::Multipart(_));
            like.media_type = if multipart { b"multipart".to_vec() } else { b"message".to_vec() };
            like.subtype = if multipart { b"mixed".to_vec() } else { b"rfc822".to_vec() };
            like.body = body;
            like
        };
        let multipart = (leaf(), vec(part.clone(), 1..4).prop_map(Body::Multipart)).prop_map(outer);
        let message = (leaf(), part, any_envelope()).prop_map(|(like, part, envelope)| {
            let fields = match &like.body {
                Body::Basic(fields) | Body::Text { fields, .. } => fields.clone(),
                _ => unreachable!("a leaf"),
            };
            let (envelope, structure) = (Box::new(envelope), Box::new(part));
            (like, Body::Message { fields, envelope, structure, lines: 1 })
        });
        prop_oneof![multipart, message.prop_map(outer)]
    })
}

/// The only item of a FETCH response, as imap-codec reads it.
fn read(wire: &[u8]) -> MessageDataItem<'_> {
    match ResponseCodec::default().decode(wire) {
        Ok((b"", Response::Data(Data::Fetch { items, .. }))) if items.as_ref().len() == 1 => {
            items.into_inner().pop().unwrap()
        }
        other => panic!("{other:?} from {:?}", String::from_utf8_lossy(wire)),
    }
}

fn string(read: &IString<'_>) -> Vec<u8> {
    read.as_ref().to_vec()
}

fn nstring(read: &NString<'_>) -> Option<Vec<u8>> {
    read.0.as_ref().map(string)
}

fn pairs(read: &[(IString<'_>, IString<'_>)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    read.iter().map(|(name, value)| (string(name), string(value))).collect()
}

fn our_envelope(read: &ReadEnvelope<'_>) -> Envelope {
    let address = |read: &ReadAddress<'_>| Address {
        name: nstring(&read.name),
        route: nstring(&read.adl),
        mailbox: nstring(&read.mailbox),
        host: nstring(&read.host),
    };
    let list = |read: &[ReadAddress<'_>]| read.iter().map(address).collect();
    Envelope {
        date: nstring(&read.date),
        subject: nstring(&read.subject),
        from: list(&read.from),
        sender: list(&read.sender),
        reply_to: list(&read.reply_to),
        to: list(&read.to),
        cc: list(&read.cc),
        bcc: list(&read.bcc),
        in_reply_to: nstring(&read.in_reply_to),
        message_id: nstring(&read.message_id),
    }
}

/// What imap-codec read, in our types; what was not sent is empty.
fn our_structure(read: &BodyStructure<'_>) -> Structure {
    let mut ours = Structure {
        media_type: b"message".to_vec(),
        subtype: b"rfc822".to_vec(),
        params: Vec::new(),
        disposition: None,
        language: Vec::new(),
        location: None,
        body: Body::Multipart(Vec::new()),
    };
    let mut md5 = None;
    let disposition = match read {
        BodyStructure::Multi { extension_data, .. } => {
            ours.params = extension_data.as_ref().map(|data| pairs(&data.parameter_list)).unwrap_or_default();
            extension_data.as_ref().and_then(|data| data.tail.as_ref())
        }
        BodyStructure::Single { body, extension_data } => {
            ours.params = pairs(&body.basic.parameter_list);
            md5 = extension_data.as_ref().and_then(|data| nstring(&data.md5));
            extension_data.as_ref().and_then(|data| data.tail.as_ref())
        }
    };
    if let Some(read) = disposition {
        ours.disposition = read
            .disposition
            .as_ref()
            .map(|(kind, params)| Disposition { kind: string(kind), params: pairs(params) });
        let language = read.tail.as_ref().expect("a language always follows");
        ours.language = language.language.iter().map(string).collect();
        ours.location = nstring(&language.tail.as_ref().expect("a location always follows").location);
    }
    our_body(read, md5, &mut ours);
    ours
}

fn our_body(read: &BodyStructure<'_>, md5: Option<Vec<u8>>, ours: &mut Structure) {
    let body = match read {
        BodyStructure::Multi { bodies, subtype, .. } => {
            ours.media_type = b"multipart".to_vec();
            ours.subtype = string(subtype);
            ours.body = Body::Multipart(bodies.as_ref().iter().map(our_structure).collect());
            return;
        }
        BodyStructure::Single { body, .. } => body,
    };
    let fields = Fields {
        id: nstring(&body.basic.id),
        description: nstring(&body.basic.description),
        encoding: string(&body.basic.content_transfer_encoding),
        size_bytes: u64::from(body.basic.size),
        md5,
    };
    ours.body = match &body.specific {
        SpecificFields::Basic { r#type, subtype } => {
            (ours.media_type, ours.subtype) = (string(r#type), string(subtype));
            Body::Basic(fields)
        }
        SpecificFields::Text { subtype, number_of_lines } => {
            (ours.media_type, ours.subtype) = (b"text".to_vec(), string(subtype));
            Body::Text { fields, lines: u64::from(*number_of_lines) }
        }
        SpecificFields::Message { envelope, body_structure, number_of_lines } => Body::Message {
            fields,
            envelope: Box::new(our_envelope(envelope)),
            structure: Box::new(our_structure(body_structure)),
            lines: u64::from(*number_of_lines),
        },
    };
}

/// The same without what BODY does not say.
fn without_extension(mut structure: Structure) -> Structure {
    (structure.disposition, structure.language, structure.location) = (None, Vec::new(), None);
    structure.body = match structure.body {
        Body::Multipart(children) => {
            structure.params = Vec::new();
            Body::Multipart(children.into_iter().map(without_extension).collect())
        }
        Body::Basic(fields) => Body::Basic(Fields { md5: None, ..fields }),
        Body::Text { fields, lines } => Body::Text { fields: Fields { md5: None, ..fields }, lines },
        Body::Message { fields, envelope, structure, lines } => {
            let structure = Box::new(without_extension(*structure));
            Body::Message { fields: Fields { md5: None, ..fields }, envelope, structure, lines }
        }
    };
    structure
}

proptest! {
    #[test]
    fn any_envelope_is_read_back(envelope in any_envelope()) {
        let wire = fetched(|response| response.envelope(&envelope));
        let MessageDataItem::Envelope(read) = read(&wire) else { panic!("not an envelope") };
        prop_assert_eq!(our_envelope(&read), envelope);
    }

    #[test]
    fn any_structure_is_read_back(structure in any_structure()) {
        let wire = fetched(|response| response.body_structure(&structure));
        let MessageDataItem::BodyStructure(found) = read(&wire) else { panic!("not a BODYSTRUCTURE") };
        prop_assert_eq!(our_structure(&found), structure.clone());
        let wire = fetched(|response| response.body(&structure));
        let MessageDataItem::Body(found) = read(&wire) else { panic!("not a BODY") };
        prop_assert_eq!(our_structure(&found), without_extension(structure));
    }
}
