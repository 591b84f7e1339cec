//! The format of D-Bus messages, as far as the Secret Service uses it (D-Bus Specification, "Type
//! System" and "Message Protocol").

use std::io::{self, Read};

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

/// The longest message that the specification allows.
const MAX_MESSAGE_SIZE: u64 = 1 << 27;

/// Arguments of a call, written in the order of their signature.
pub(super) struct Writer {
    signature: &'static str,
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) const fn new(signature: &'static str) -> Self {
        Self { signature, bytes: Vec::new() }
    }

    pub(super) fn align(&mut self, alignment: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
    }

    pub(super) fn write_u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    /// Writes a string or an object path.
    pub(super) fn write_str(&mut self, value: &str) {
        self.write_bytes(value.as_bytes());
        self.bytes.push(0);
    }

    pub(super) fn write_signature(&mut self, value: &str) {
        self.bytes.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        self.bytes.extend(value.as_bytes());
        self.bytes.push(0);
    }

    pub(super) fn write_bytes(&mut self, value: &[u8]) {
        self.write_u32(length(value.len()));
        self.bytes.extend(value);
    }

    /// Starts a header field. Its value follows.
    fn start_field(&mut self, code: u8, signature: &str) {
        self.align(8);
        self.bytes.push(code);
        self.write_signature(signature);
    }

    /// Writes an array whose elements have this alignment.
    pub(super) fn write_array(&mut self, alignment: usize, write_elements: impl FnOnce(&mut Self)) {
        self.write_u32(0);
        let length_end = self.bytes.len();
        self.align(alignment);
        let start = self.bytes.len();
        write_elements(self);
        let size = length(self.bytes.len() - start);
        self.bytes[length_end - 4..length_end].copy_from_slice(&size.to_le_bytes());
    }
}

/// Lengths are far below four gigabytes.
fn length(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// Encodes a method call.
pub(super) fn encode_call(
    serial: u32,
    destination: &str,
    (path, interface): (&str, &str),
    method: &str,
    args: &Writer,
) -> Vec<u8> {
    let fields = [(1, "o", path), (2, "s", interface), (3, "s", method), (6, "s", destination)];
    encode(METHOD_CALL, serial, args, |writer| {
        for (code, signature, value) in fields {
            writer.start_field(code, signature);
            writer.write_str(value);
        }
    })
}

fn encode(kind: u8, serial: u32, args: &Writer, write_fields: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let no_flags = 0;
    let mut message = Writer::new("");
    message.bytes.extend([b'l', kind, no_flags, 1]);
    message.write_u32(length(args.bytes.len()));
    message.write_u32(serial);
    message.write_array(8, |fields| {
        write_fields(fields);
        fields.start_field(8, "g");
        fields.write_signature(args.signature);
    });
    message.align(8);
    message.bytes.extend(&args.bytes);
    message.bytes
}

/// What a message is.
#[derive(Debug, PartialEq)]
pub(super) enum MessageKind {
    Reply {
        serial: u32,
    },
    Error {
        serial: u32,
        name: String,
    },
    Signal {
        path: String,
        member: String,
    },
    /// A call of another program.
    Call,
}

/// A message that was received.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: MessageKind,
    pub(super) sender: String,
    pub(super) signature: String,
    is_big_endian: bool,
    body: Vec<u8>,
}

impl Message {
    pub(super) fn body(&self) -> Reader<'_> {
        Reader { bytes: &self.body, position: 0, is_big_endian: self.is_big_endian }
    }

    /// Reads one message: sixteen bytes, the header fields, padding to eight, the body.
    pub(super) fn receive(stream: &mut impl Read) -> io::Result<Self> {
        let mut head = Vec::new();
        read_exactly(stream, 16, &mut head)?;
        let is_big_endian = match head[0] {
            b'l' => false,
            b'B' => true,
            _ => return Err(malformed()),
        };
        let mut fixed = Reader { bytes: &head, position: 4, is_big_endian };
        let body_size = u64::from(fixed.read_u32()?);
        fixed.read_u32()?;
        let fields_size = u64::from(fixed.read_u32()?).next_multiple_of(8);
        if body_size + fields_size > MAX_MESSAGE_SIZE {
            return Err(malformed());
        }
        read_exactly(stream, fields_size, &mut head)?;
        let mut body = Vec::new();
        read_exactly(stream, body_size, &mut body)?;

        let mut fields = Reader { bytes: &head, position: 12, is_big_endian }.read_array(8)?;
        let mut texts: [String; 9] = Default::default();
        let mut serial = 0;
        while !fields.is_empty() {
            fields.align(8);
            let code = fields.read_byte()?;
            let text = match fields.read_signature()? {
                "s" | "o" => fields.read_str()?,
                "g" => fields.read_signature()?,
                "u" => {
                    let value = fields.read_u32()?;
                    serial = if code == 5 { value } else { serial };
                    continue;
                }
                _ => return Err(malformed()),
            };
            if let Some(field) = texts.get_mut(usize::from(code)) {
                text.clone_into(field);
            }
        }
        let [_, path, _, member, error_name, _, _, sender, signature] = texts;
        let kind = match head[1] {
            METHOD_RETURN => MessageKind::Reply { serial },
            ERROR => MessageKind::Error { serial, name: error_name },
            SIGNAL => MessageKind::Signal { path, member },
            _ => MessageKind::Call,
        };
        Ok(Self { kind, sender, signature, is_big_endian, body })
    }
}

/// Reads this many bytes. Memory is used for what arrives, not for what a length promises.
fn read_exactly(stream: &mut impl Read, count: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let read = stream.take(count).read_to_end(bytes)?;
    if read as u64 == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// Returns the error for bytes that are no D-Bus message.
pub(super) fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Reads values in the order of their signature.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    is_big_endian: bool,
}

impl<'a> Reader<'a> {
    pub(super) const fn is_empty(&self) -> bool {
        self.position >= self.bytes.len()
    }

    pub(super) fn align(&mut self, alignment: usize) {
        self.position = self.position.next_multiple_of(alignment);
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let end = self.position.checked_add(count).ok_or_else(malformed)?;
        let taken = self.bytes.get(self.position..end).ok_or_else(malformed)?;
        self.position = end;
        Ok(taken)
    }

    fn read_byte(&mut self) -> io::Result<u8> {
        self.take(1).map(|byte| byte[0])
    }

    pub(super) fn read_u32(&mut self) -> io::Result<u32> {
        self.align(4);
        let bytes = self.take(4)?.try_into().map_err(|_| malformed())?;
        Ok(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn read_size(&mut self) -> io::Result<usize> {
        usize::try_from(self.read_u32()?).map_err(|_| malformed())
    }

    pub(super) fn read_bytes(&mut self) -> io::Result<&'a [u8]> {
        let size = self.read_size()?;
        self.take(size)
    }

    /// Reads a string or an object path.
    pub(super) fn read_str(&mut self) -> io::Result<&'a str> {
        let text = self.read_bytes()?;
        self.end_text(text)
    }

    pub(super) fn read_signature(&mut self) -> io::Result<&'a str> {
        let size = self.read_byte()?;
        let text = self.take(size.into())?;
        self.end_text(text)
    }

    fn end_text(&mut self, text: &'a [u8]) -> io::Result<&'a str> {
        if self.read_byte()? != 0 {
            return Err(malformed());
        }
        std::str::from_utf8(text).map_err(|_| malformed())
    }

    /// Reads the signature of a variant, which must be this one. The value follows.
    pub(super) fn open_variant(&mut self, signature: &str) -> io::Result<()> {
        if self.read_signature()? == signature { Ok(()) } else { Err(malformed()) }
    }

    /// Returns the elements of an array, which have this alignment.
    pub(super) fn read_array(&mut self, alignment: usize) -> io::Result<Self> {
        let size = self.read_size()?;
        self.align(alignment);
        let position = self.position;
        self.take(size)?;
        let is_big_endian = self.is_big_endian;
        Ok(Self { bytes: &self.bytes[..self.position], position, is_big_endian })
    }

    /// Reads an array of strings or object paths.
    pub(super) fn read_strings(&mut self) -> io::Result<Vec<String>> {
        let mut elements = self.read_array(4)?;
        let mut strings = Vec::new();
        while !elements.is_empty() {
            strings.push(elements.read_str()?.to_owned());
        }
        Ok(strings)
    }
}

/// Encodes a message as the bus delivers it. A message has use only for the texts of its own kind.
#[cfg(test)]
pub(super) fn encode_delivered(
    kind: u8,
    call: u32,
    [sender, path, member, error]: [&str; 4],
    args: &Writer,
) -> Vec<u8> {
    encode(kind, 1, args, |writer| {
        writer.start_field(5, "u");
        writer.write_u32(call);
        for (code, signature, value) in
            [(1, "o", path), (3, "s", member), (4, "s", error), (7, "s", sender)]
        {
            writer.start_field(code, signature);
            writer.write_str(value);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Vec<u8> {
        let mut args = Writer::new("sa{ss}v");
        args.write_str("a");
        args.write_array(8, |entries| {
            for (name, value) in [("b", "cd"), ("ef", "")] {
                entries.align(8);
                entries.write_str(name);
                entries.write_str(value);
            }
        });
        args.write_signature("ay");
        args.write_bytes(&[1, 2, 3]);
        encode_call(7, "org.example", ("/a/b", "org.example.I"), "Do", &args)
    }

    #[test]
    fn what_was_written_is_read() {
        let mut stream = [call(), call()].concat();
        stream.push(0);
        let mut stream = stream.as_slice();
        for _ in 0..2 {
            let message = Message::receive(&mut stream).unwrap();
            assert_eq!(message.kind, MessageKind::Call);
            assert_eq!(message.signature, "sa{ss}v");
            let mut body = message.body();
            assert_eq!(body.read_str().unwrap(), "a");
            let mut entries = body.read_array(8).unwrap();
            let mut texts = Vec::new();
            while !entries.is_empty() {
                entries.align(8);
                texts.extend([entries.read_str().unwrap(), entries.read_str().unwrap()]);
            }
            assert_eq!(texts, ["b", "cd", "ef", ""]);
            body.open_variant("ay").unwrap();
            assert_eq!(body.read_bytes().unwrap(), [1, 2, 3]);
            assert!(body.is_empty() && body.read_u32().is_err());
        }
        assert_eq!(stream, [0]);
    }

    /// A reply of dbus-daemon to `NameHasOwner`, and one with the other byte order.
    #[test]
    fn replies_of_both_byte_orders_are_read() {
        for (order, word) in
            [(b'l', u32::to_le_bytes as fn(u32) -> [u8; 4]), (b'B', u32::to_be_bytes)]
        {
            let mut bytes = vec![order, METHOD_RETURN, 1, 1];
            for value in [4, 9, 15] {
                bytes.extend(word(value));
            }
            bytes.extend([5, 1, b'u', 0]);
            bytes.extend(word(3));
            bytes.extend([8, 1, b'g', 0, 1, b'u', 0, 0]);
            bytes.extend(word(77));
            let message = Message::receive(&mut bytes.as_slice()).unwrap();
            assert_eq!(message.kind, MessageKind::Reply { serial: 3 });
            assert_eq!(message.signature, "u");
            assert_eq!(message.body().read_u32().unwrap(), 77);
        }
    }

    #[test]
    fn damaged_messages_are_errors_and_never_panics() {
        let whole = call();
        for index in 0..whole.len() {
            assert!(Message::receive(&mut &whole[..index]).is_err());
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[index] = value;
                let Ok(message) = Message::receive(&mut damaged.as_slice()) else { continue };
                let mut body = message.body();
                let _ = body.read_str().and_then(|_| body.read_strings());
                let _ = body.open_variant("ay").and_then(|()| body.read_bytes());
            }
        }
    }
}
