use super::super::part;
use super::*;

/// A structure in something like IMAP's words.
fn show(raw: &str) -> String {
    let structure = of(&part::parse(raw.as_bytes()), raw.as_bytes());
    format_one(&structure)
}

fn format_one(s: &Structure) -> String {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    let params =
        |p: &[Param]| p.iter().map(|(n, v)| format!(";{}={}", text(n), text(v))).collect::<Vec<_>>().concat();
    let kind = format!("{}/{}{}", text(&s.media_type), text(&s.subtype), params(&s.params));
    let fields = |f: &Fields| {
        let optional = [("id", &f.id), ("desc", &f.description), ("md5", &f.md5)];
        let optional = optional.iter().filter_map(|(n, v)| v.as_ref().map(|v| format!(" {n}={}", text(v))));
        format!("{} {}{}", text(&f.encoding), f.size_bytes, optional.collect::<Vec<_>>().concat())
    };
    let body = match &s.body {
        Body::Multipart(children) => {
            format!("[{}]", children.iter().map(format_one).collect::<Vec<_>>().join(", "))
        }
        Body::Basic(f) => fields(f),
        Body::Text { fields: f, lines } => format!("{} lines={lines}", fields(f)),
        Body::Message { fields: f, envelope, structure, lines } => format!(
            "{} lines={lines} subject={} <{}>",
            fields(f),
            text(envelope.subject.as_deref().unwrap_or_default()),
            format_one(structure)
        ),
    };
    let disposition = s.disposition.as_ref().map(|d| format!(" {}{}", text(&d.kind), params(&d.params)));
    let language: String = s.language.iter().map(|l| format!(" lang={}", text(l))).collect();
    let location = s.location.as_ref().map(|l| format!(" at={}", text(l)));
    format!("{kind} {body}{}{language}{}", disposition.unwrap_or_default(), location.unwrap_or_default())
}

#[test]
fn what_the_part_does_not_say() {
    assert_eq!(show("Subject: x\r\n\r\na\r\nb"), "text/plain;charset=us-ascii 7bit 4 lines=1");
    assert_eq!(show("Content-Type: text\r\n\r\n"), "text/plain;charset=us-ascii 7bit 0 lines=0");
    assert_eq!(show("Content-Type: multipart/mixed\r\n\r\nx"), "text/plain;charset=us-ascii 7bit 1 lines=0");
    assert_eq!(show("Content-Type: TEXT/Plain\r\n\r\n"), "TEXT/Plain 7bit 0 lines=0");
}

#[test]
fn every_field_as_it_came() {
    assert_eq!(
        show(
            "Content-Type: Image/PNG; Name=\"=?utf-8?q?a?=\"; x*0=1\r\nContent-Transfer-Encoding: BASE64\r\n\
             Content-ID: <i@d>\r\nContent-Description: a\r\n b\r\nContent-MD5: Q2hlY2s=\r\n\
             Content-Disposition: ATTACHMENT; filename*=utf-8''%41\r\nContent-Language: de, en\r\n\
             Content-Location: http://x/\r\n\r\nAAAA\r\n"
        ),
        "Image/PNG;Name==?utf-8?q?a?=;x*0=1 BASE64 6 id=<i@d> desc=a b md5=Q2hlY2s= \
         ATTACHMENT;filename*=utf-8''%41 lang=de lang=en at=http://x/"
    );
}

/// imaptest's `fetch-bodystructure`.
#[test]
fn multipart() {
    assert_eq!(
        show(
            "Content-Type: multipart/mixed; boundary=\"foo\r\n bar\"\r\n\r\n--foo bar\r\n\
             Content-Type: text/x-myown; charset=us-ascii\r\n\r\nhello\r\n\r\n--foo bar--\r\n"
        ),
        "multipart/mixed;boundary=foo bar [text/x-myown;charset=us-ascii 7bit 7 lines=1]"
    );
}

#[test]
fn messages() {
    assert_eq!(
        show(
            "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n\none\ntwo\n\n--b\n\
             Content-Type: message/rfc822; name=x\nContent-Transfer-Encoding: base64\n\nQQo=\n--b--"
        ),
        "multipart/digest;boundary=b [message/rfc822 7bit 21 lines=4 subject=in \
         <text/plain;charset=us-ascii 7bit 8 lines=2>, application/octet-stream;name=x base64 4]"
    );
}

#[test]
fn lines_are_counted_across_blocks() {
    let body = "x\r\n".repeat(20_000);
    assert_eq!(show(&format!("A: b\r\n\r\n{body}")), "text/plain;charset=us-ascii 7bit 60000 lines=20000");
}
