//! A connection to the session bus on the calling thread: nothing of it runs between calls.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

use super::CallError;
use super::wire::{self, Message, MessageKind, Writer};

/// Name and interface of the bus itself.
pub(super) const DBUS_NAME: &str = "org.freedesktop.DBus";
/// Path and interface of the bus itself.
pub(super) const DBUS: (&str, &str) = ("/org/freedesktop/DBus", DBUS_NAME);

/// The signal that ends a prompt, the only one that is waited for.
const PROMPT_COMPLETED: &str = "Completed";

/// A connection to the session bus.
pub(super) struct Bus {
    stream: BufReader<UnixStream>,
    last_serial: u32,
    /// Messages that arrived while another one was waited for.
    received: Vec<Message>,
}

impl Bus {
    pub(super) fn connect() -> Result<Self, CallError> {
        let mut bus = Self::new(open_stream()?);
        bus.authenticate()?;
        bus.call(DBUS_NAME, DBUS, "Hello", &Writer::new(""), "s")?;
        Ok(bus)
    }

    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream), last_serial: 0, received: Vec::new() }
    }

    fn authenticate(&mut self) -> io::Result<()> {
        let user_id = rustix::process::geteuid().as_raw().to_string();
        // It is sent as hexadecimal ASCII: the code of digit `d` is `3d`.
        let user_id: String = user_id.chars().flat_map(|digit| ['3', digit]).collect();
        write!(self.stream.get_mut(), "\0AUTH EXTERNAL {user_id}\r\nBEGIN\r\n")?;
        let mut line = String::new();
        self.stream.by_ref().take(256).read_line(&mut line)?;
        if line.starts_with("OK ") { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    /// Calls a method, whose reply has this signature.
    pub(super) fn call(
        &mut self,
        destination: &str,
        object: (&str, &str),
        method: &str,
        args: &Writer,
        signature: &str,
    ) -> Result<Message, CallError> {
        let call = self.send(destination, object, method, args)?;
        self.receive_reply(call, signature)
    }

    /// Sends a call without waiting for its reply. Returns its serial number.
    pub(super) fn send(
        &mut self,
        destination: &str,
        object: (&str, &str),
        method: &str,
        args: &Writer,
    ) -> io::Result<u32> {
        self.last_serial = self.last_serial.wrapping_add(1).max(1);
        let call = wire::encode_call(self.last_serial, destination, object, method, args);
        self.stream.get_mut().write_all(&call)?;
        Ok(self.last_serial)
    }

    /// Waits for the reply to a call. Fails if its body has another signature.
    pub(super) fn receive_reply(
        &mut self,
        call: u32,
        signature: &str,
    ) -> Result<Message, CallError> {
        let reply = self.receive(&|message| match message.kind {
            MessageKind::Reply { serial } | MessageKind::Error { serial, .. } => serial == call,
            MessageKind::Signal { .. } | MessageKind::Call => false,
        })?;
        if let MessageKind::Error { name, .. } = &reply.kind {
            let has_message = reply.signature.starts_with('s');
            let message = has_message.then(|| reply.body().read_str().ok().map(str::to_owned));
            let message = message.flatten().unwrap_or_else(|| "no details".to_owned());
            return Err(CallError::Rejected { name: name.clone(), message });
        }
        Ok(check_signature(reply, signature)?)
    }

    /// Tells the bus to deliver the signal that ends this prompt.
    pub(super) fn subscribe_to_prompt(&mut self, prompt: &str) -> Result<(), CallError> {
        let mut args = Writer::new("s");
        let rule = format!("type='signal',path='{prompt}',member='{PROMPT_COMPLETED}'");
        args.write_str(&rule);
        self.call(DBUS_NAME, DBUS, "AddMatch", &args, "").map(drop)
    }

    /// Waits for the signal that ends this prompt, from the program with this unique name.
    pub(super) fn receive_prompt_end(
        &mut self,
        prompt: &str,
        provider: &str,
    ) -> io::Result<Message> {
        let signal = self.receive(&|message| match &message.kind {
            MessageKind::Signal { path, member } => {
                path == prompt && member == PROMPT_COMPLETED && message.sender == provider
            }
            _ => false,
        })?;
        check_signature(signal, "bv")
    }

    /// Waits for a message, and keeps those that others wait for.
    fn receive(&mut self, is_wanted: &dyn Fn(&Message) -> bool) -> io::Result<Message> {
        if let Some(index) = self.received.iter().position(is_wanted) {
            return Ok(self.received.swap_remove(index));
        }
        loop {
            let message = Message::receive(&mut self.stream)?;
            if is_wanted(&message) {
                return Ok(message);
            }
            let is_kept = match &message.kind {
                MessageKind::Reply { .. } | MessageKind::Error { .. } => true,
                MessageKind::Signal { member, .. } => member == PROMPT_COMPLETED,
                MessageKind::Call => false,
            };
            if is_kept {
                self.received.push(message);
            }
        }
    }
}

fn check_signature(message: Message, signature: &str) -> io::Result<Message> {
    if message.signature == signature { Ok(message) } else { Err(wire::malformed()) }
}

/// Returns the path of the bus that systemd starts for each user.
pub(super) fn default_bus_path() -> PathBuf {
    let runtime_dir = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    // A relative path is invalid (XDG Base Directory Specification): it would name a bus in the current
    // directory, which may be another user's.
    let runtime_dir = runtime_dir
        .filter(|dir| dir.is_absolute())
        .unwrap_or_else(|| format!("/run/user/{}", rustix::process::geteuid().as_raw()).into());
    runtime_dir.join("bus")
}

/// Connects to the bus of the environment, else to the one that systemd starts for each user.
fn open_stream() -> io::Result<UnixStream> {
    let Some(addresses) = env::var_os("DBUS_SESSION_BUS_ADDRESS") else {
        return UnixStream::connect(default_bus_path());
    };
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in addresses.to_string_lossy().split(';') {
        result = connect_to(address);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Connects to an address such as `unix:path=/run/user/1000/bus,guid=…`.
fn connect_to(address: &str) -> io::Result<UnixStream> {
    let fields = address.strip_prefix("unix:").unwrap_or_default();
    for (key, value) in fields.split(',').filter_map(|field| field.split_once('=')) {
        let value: Vec<u8> = percent_decode_str(value).collect();
        match key {
            "path" => return UnixStream::connect(Path::new(OsStr::from_bytes(&value))),
            #[cfg(target_os = "linux")]
            "abstract" => {
                use std::os::linux::net::SocketAddrExt;
                let name = std::os::unix::net::SocketAddr::from_abstract_name(value)?;
                return UnixStream::connect_addr(&name);
            }
            _ => {}
        }
    }
    Err(io::ErrorKind::Unsupported.into())
}
