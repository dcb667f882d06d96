//! The ABI's serialized map: `u32 count`, then `u32 name length, u32 value length` of each entry, then each name and
//! each value with one NUL behind it. Numbers are little-endian.

use doorward::http::HeaderField;

/// The bytes are not a serialized map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MalformedMap;

/// The entries of `map`, borrowed. No bytes at all are a map without entries: the host gives a null pointer for one.
pub(crate) fn parse(map: &[u8]) -> Result<Vec<HeaderField<'_>>, MalformedMap> {
    if map.is_empty() {
        return Ok(Vec::new());
    }
    let (count, rest) = length(map)?;
    let (mut lengths, mut data) =
        rest.split_at_checked(count.checked_mul(8).ok_or(MalformedMap)?).ok_or(MalformedMap)?;
    // `count` is no larger than an eighth of the buffer: the split above has proved it.
    let mut fields = Vec::with_capacity(count);
    while !lengths.is_empty() {
        let (name_length, rest) = length(lengths)?;
        let (value_length, rest) = length(rest)?;
        lengths = rest;
        let (name, rest) = terminated(data, name_length)?;
        let (value, rest) = terminated(rest, value_length)?;
        data = rest;
        fields.push(HeaderField { name, value });
    }
    if data.is_empty() { Ok(fields) } else { Err(MalformedMap) }
}

/// `entries` as a serialized map; `None` if one is longer than the ABI can count.
pub(crate) fn serialize(entries: &[(&str, &str)]) -> Option<Vec<u8>> {
    let size = entries.iter().try_fold(4_usize, |size, (name, value)| {
        size.checked_add(name.len())?.checked_add(value.len())?.checked_add(10)
    })?;
    let mut map = Vec::with_capacity(size);
    map.extend_from_slice(&u32::try_from(entries.len()).ok()?.to_le_bytes());
    for (name, value) in entries {
        map.extend_from_slice(&u32::try_from(name.len()).ok()?.to_le_bytes());
        map.extend_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
    }
    for (name, value) in entries {
        map.extend_from_slice(name.as_bytes());
        map.push(0);
        map.extend_from_slice(value.as_bytes());
        map.push(0);
    }
    Some(map)
}

/// Whether `name` may be given to a proxy as a header's name: not empty, and nothing that ends a line.
pub(crate) fn is_safe_name(name: &[u8]) -> bool {
    !name.is_empty() && is_safe_value(name)
}

/// Whether `value` may be given to a proxy as a header's value: nothing that ends a line. Envoy takes it
/// and answers 503 only where the upstream request is encoded; filters behind this one would have seen it by then, and
/// another host may write it to the wire as a header of its own.
pub(crate) fn is_safe_value(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n'))
}

fn length(bytes: &[u8]) -> Result<(usize, &[u8]), MalformedMap> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or(MalformedMap)?;
    Ok((usize::try_from(u32::from_le_bytes(*number)).map_err(|_| MalformedMap)?, rest))
}

fn terminated(bytes: &[u8], length: usize) -> Result<(&[u8], &[u8]), MalformedMap> {
    let (text, rest) = bytes.split_at_checked(length).ok_or(MalformedMap)?;
    match rest.split_first() {
        Some((0, rest)) => Ok((text, rest)),
        _ => Err(MalformedMap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs<'m>(fields: &[HeaderField<'m>]) -> Vec<(&'m [u8], &'m [u8])> {
        fields.iter().map(|field| (field.name, field.value)).collect()
    }

    #[test]
    fn nothing_is_an_empty_map() {
        assert_eq!(parse(b""), Ok(vec![]));
        assert_eq!(parse(&[0; 4]), Ok(vec![]));
        assert_eq!(serialize(&[]), Some(vec![0; 4]));
    }

    #[test]
    fn layout_is_the_abi_s() {
        let map = b"\x02\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0a\0bc\0def\0\0";
        assert_eq!(serialize(&[("a", "bc"), ("def", "")]).unwrap(), map);
        assert_eq!(pairs(&parse(map).unwrap()), [(&b"a"[..], &b"bc"[..]), (b"def", b"")]);
    }

    #[test]
    fn a_thousand_entries_survive_the_round_trip_in_order() {
        let entries: Vec<(String, String)> =
            (0..1000).map(|n| (format!("x-{n}"), "v".repeat(n % 97))).collect();
        let borrowed: Vec<(&str, &str)> = entries.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let map = serialize(&borrowed).unwrap();
        let expected: Vec<_> = entries.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        assert_eq!(pairs(&parse(&map).unwrap()), expected);
        assert_eq!(map.capacity(), map.len(), "one allocation of the right size");
    }

    #[test]
    fn entries_are_borrowed_from_the_buffer() {
        let map = serialize(&[("name", "value")]).unwrap();
        let range = map.as_ptr_range();
        assert!(range.contains(&parse(&map).unwrap()[0].value.as_ptr()));
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_kept() {
        let map = b"\x01\0\0\0\x01\0\0\0\x03\0\0\0\xff\0\xc3\x28\0\0";
        assert_eq!(pairs(&parse(map).unwrap()), [(&b"\xff"[..], &b"\xc3\x28\0"[..])]);
    }

    #[test]
    fn truncated_anywhere_is_malformed() {
        let map = serialize(&[(":path", "/"), ("authorization", "Bearer a.b.c"), ("empty", "")]).unwrap();
        for end in 1..map.len() {
            assert_eq!(parse(&map[..end]), Err(MalformedMap), "{end}");
        }
    }

    #[test]
    fn any_byte_changed_is_no_panic() {
        let map = serialize(&[(":path", "/"), ("cookie", "a=b")]).unwrap();
        for at in 0..map.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = map.clone();
                changed[at] = byte;
                let _ = parse(&changed);
            }
        }
    }

    #[test]
    fn counts_and_lengths_that_lie_are_malformed() {
        assert_eq!(parse(&[0xff; 4]), Err(MalformedMap));
        assert_eq!(parse(&[0xff; 64]), Err(MalformedMap));
        assert_eq!(parse(b"\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0"), Err(MalformedMap));
        assert_eq!(parse(b"\0\0\0\0\0"), Err(MalformedMap), "bytes behind the map");
        assert_eq!(
            parse(b"\x01\0\0\0\x01\0\0\0\x01\0\0\0aXb\0"),
            Err(MalformedMap),
            "no NUL behind the name"
        );
    }
}
