//! Ports and addresses as they are written, checked as far as they are known before ports are allocated.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    decode::{Decode, Decoder},
    types::inline_schema,
    value::{Data, Node},
};
use crate::model::PortRef;

const NO_PORT: &str = "a port is a number from 1 to 65535, or `${ports.<name>}`";

/// A port as written: a number, or one reference to a port.
#[derive(Clone, Debug)]
pub(super) struct PortText(pub String);

inline_schema!([] PortText, |_generator| {
    json_schema!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 65535 }, { "type": "string" }] })
});

impl Decode for PortText {
    const EXPECTED: &'static str = "a port";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let text = match &node.data {
            Data::Integer(i) => i.to_string(),
            Data::String(s) => s.clone(),
            _ => return decoder.wrong_type(node),
        };
        let is_known = is_port(&text, decoder);
        if !is_known {
            decoder.bad_value(node, "is no port", NO_PORT);
        }
        is_known.then_some(Self(text))
    }
}

/// Whether a text is a port, or will be one. In the files of others nothing is substituted.
fn is_port(text: &str, decoder: &Decoder) -> bool {
    let is_number =
        text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0);
    is_number || !decoder.lenient && PortRef::whole(text).is_some()
}

/// The two sides of the last colon that is not part of a reference at the end.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let reference = text.strip_suffix('}').and_then(|text| text.rfind("${"));
    let colon = text[..reference.unwrap_or(text.len())].rfind(':')?;
    Some((&text[..colon], &text[colon + 1..]))
}

/// Where a TCP probe connects to: a port, or `host:port`.
#[derive(Clone, Debug)]
pub(super) struct TcpTarget {
    /// The host, without brackets.
    pub host: String,
    /// The port.
    pub port: String,
}

inline_schema!([] TcpTarget, |generator| generator.subschema_for::<PortText>());

impl Decode for TcpTarget {
    const EXPECTED: &'static str = "a port or text such as \"127.0.0.1:5432\"";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let split = match &node.data {
            Data::String(s) => host_and_port(s),
            Data::Integer(_) => None,
            _ => return decoder.wrong_type(node),
        };
        let Some((host, port)) = split else {
            let PortText(port) = PortText::decode(node, decoder)?;
            return Some(Self { host: "127.0.0.1".to_owned(), port });
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.is_empty() {
            decoder.bad_value(node, "has no host", "write `127.0.0.1` before the colon, or only the port");
            return None;
        }
        let port = Node { data: Data::String(port.to_owned()), ..node.clone() };
        let PortText(port) = PortText::decode(&port, decoder)?;
        Some(Self { host: bare.to_owned(), port })
    }
}

/// Where a TCP socket is bound: `host:port`.
#[derive(Clone, Debug)]
pub(super) struct Address(pub String);

inline_schema!([] Address, |generator| generator.subschema_for::<String>());

impl Decode for Address {
    const EXPECTED: &'static str = "text such as \"127.0.0.1:8080\"";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let Data::String(text) = &node.data else { return decoder.wrong_type(node) };
        let fault = match host_and_port(text) {
            None | Some(("" | "[]", _)) => {
                Some(("has no host", "write `127.0.0.1:<port>`, or `0.0.0.0:<port>` for every network"))
            }
            Some((host, _)) if host.contains(':') && !is_bracketed(host) => {
                Some(("has an IPv6 host without brackets", "write `[::1]:<port>`"))
            }
            Some((_, port)) if !is_port(port, decoder) => Some(("has no port at its end", NO_PORT)),
            Some(_) => None,
        };
        if let Some((why, hint)) = fault {
            decoder.bad_value(node, why, hint);
        }
        // One at fault is there nevertheless: the socket has a place.
        Some(Self(text.clone()))
    }
}

/// Whether each colon of a host stands in brackets, or in a reference.
fn is_bracketed(host: &str) -> bool {
    host.starts_with('[') && host.ends_with(']') || host.contains("${")
}
