//! What a transport stream carries by its own tables: programs with their names, and what each PID is.
//! The tables may go on over several packets and datagrams; only those whose CRC holds are believed.

use crate::base::text::visible;
use crate::base::time::Mono;
use crate::wire::psi::{self, Kind, Table};
use crate::wire::sections::Sections;
use crate::wire::ts::{self, Packet};

/// Programs of one stream that are kept.
pub const PROGRAMS_MAX: usize = 16;
/// Streams within all of them that are kept.
pub const STREAMS_MAX: usize = 64;
/// Characters of a service's name.
const NAME_MAX: usize = 24;
/// Bytes of such a name at most.
const NAME_BYTES: usize = 4 * NAME_MAX;
/// Sections that were read last, so that the same one again costs nothing.
const KNOWN: usize = 24;
/// Sections read a second at most: a table comes ten times a second, and one that is new costs its CRC.
const READ_A_SECOND: u32 = 100;
/// The PID of the names of services (EN 300 468 section 5.1.3).
const SDT: u16 = 0x11;

/// A program of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its number.
    pub number: u16,
    /// The PID of its PMT.
    pub pmt: u16,
    /// Its name by the SDT, empty without one, made visible.
    pub name: String,
}

/// An elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The number of its program.
    pub program: u16,
    /// Its PID.
    pub pid: u16,
    /// `video`, `audio` or `data`.
    pub class: &'static str,
    /// The coding: `H.264`, `AAC` …
    pub coding: &'static str,
}

/// The tables of one stream.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    sections: Sections,
    list: Vec<Program>,
    streams: Vec<Stream>,
    known: Vec<(u16, [u8; 8])>,
    second: u64,
    read: u32,
}

/// Head and CRC of a section: which table of which version it is.
fn print(section: &[u8]) -> [u8; 8] {
    let mut print = [0; 8];
    let (head, crc) = (&section[..section.len().min(8)], &section[section.len().saturating_sub(4)..]);
    print[..4]
        .copy_from_slice(&[head.first(), head.get(4), head.get(5), head.get(6)].map(|b| *b.unwrap_or(&0)));
    print[4..4 + crc.len()].copy_from_slice(crc);
    print
}

impl Programs {
    /// Bytes on the heap at most.
    pub const HEAP_MAX: usize = Sections::HEAP_MAX
        + PROGRAMS_MAX * (size_of::<Program>() + NAME_BYTES)
        + STREAMS_MAX * size_of::<Stream>()
        + KNOWN * size_of::<(u16, [u8; 8])>();

    /// The programs, in the order of the PAT.
    pub fn list(&self) -> &[Program] {
        &self.list
    }

    /// The streams of a program.
    pub fn streams(&self, program: u16) -> impl Iterator<Item = &Stream> {
        self.streams.iter().filter(move |s| s.program == program)
    }

    /// In a line: `News HD (100): video H.264 pid 256, audio AAC pid 257`; empty while no table was seen.
    pub fn describe(&self) -> String {
        let one = |p: &Program| {
            let streams: Vec<String> =
                self.streams(p.number).map(|s| format!("{} {} pid {}", s.class, s.coding, s.pid)).collect();
            let name = if p.name.is_empty() { "program".to_owned() } else { format!("\"{}\"", p.name) };
            let colon = if streams.is_empty() { "" } else { ": " };
            format!("{name} {}{colon}{}", p.number, streams.join(", "))
        };
        self.list.iter().map(one).collect::<Vec<_>>().join(" · ")
    }

    /// Takes the tables of a datagram.
    pub(crate) fn take(&mut self, payload: &[u8], at: Mono) {
        for p in ts::packets(payload) {
            if p.pid == 0 || p.pid == SDT || self.list.iter().any(|known| known.pmt == p.pid) {
                self.packet(payload, &p, at);
            }
        }
    }

    fn packet(&mut self, payload: &[u8], p: &Packet, at: Mono) {
        let mut found: Vec<Table> = Vec::new();
        let Programs { sections, known, second, read, .. } = self;
        sections.take(payload, p, |section| {
            let print = (p.pid, print(section));
            if known.contains(&print) {
                return;
            }
            if std::mem::replace(second, at.second()) != at.second() {
                *read = 0;
            }
            *read += 1;
            if *read > READ_A_SECOND {
                return;
            }
            if let Some(table) = psi::whole(p.pid, section) {
                if known.len() == KNOWN {
                    known.remove(0);
                }
                known.push(print);
                found.push(table);
            }
        });
        found.into_iter().for_each(|t| self.learn(t));
    }

    fn learn(&mut self, table: Table) {
        match table.kind {
            Kind::Pat(programs) => {
                let before = std::mem::take(&mut self.list);
                for (number, pmt) in programs.into_iter().filter(|(n, _)| *n != 0).take(PROGRAMS_MAX) {
                    let name = before.iter().find(|p| p.number == number).map_or("", |p| &p.name).to_owned();
                    self.list.push(Program { number, pmt, name });
                }
                let Programs { list, streams, .. } = self;
                streams.retain(|s| list.iter().any(|p| p.number == s.program));
                // What was read of the other tables may be of programs that are only known now.
                self.known.retain(|(pid, _)| *pid == 0);
            }
            Kind::Pmt { streams, .. } => {
                self.streams.retain(|s| s.program != table.id);
                let room = STREAMS_MAX - self.streams.len();
                self.streams.extend(streams.into_iter().take(room).map(|s| Stream {
                    program: table.id,
                    pid: s.pid,
                    class: s.class,
                    coding: s.coding,
                }));
            }
            Kind::Sdt(services) => {
                for s in services {
                    if let Some(p) = self.list.iter_mut().find(|p| p.number == s.program) {
                        p.name = visible(&s.name, NAME_MAX);
                        p.name.shrink_to_fit();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::psi::crc32;

    fn section(id: u8, ext: u16, version: u8, body: &[u8]) -> Vec<u8> {
        let n = body.len() + 9;
        let mut b =
            vec![id, 0xb0 | (n >> 8) as u8, n as u8, (ext >> 8) as u8, ext as u8, 0xc1 | version << 1, 0, 0];
        b.extend(body);
        b.extend(crc32(&b).to_be_bytes());
        b
    }

    fn pat(version: u8, programs: &[(u16, u16)]) -> Vec<u8> {
        let entry = |(n, pid): &(u16, u16)| [n.to_be_bytes(), (pid | 0xe000).to_be_bytes()].concat();
        section(0, 1, version, &programs.iter().flat_map(entry).collect::<Vec<_>>())
    }

    /// A PMT of so many audio streams behind one of video, each with a descriptor of 20 bytes.
    fn pmt(program: u16, first: u16, audio: u16) -> Vec<u8> {
        let mut body = vec![0xe1, 0, 0xf0, 0];
        for i in 0..=audio {
            body.push(if i == 0 { 0x1b } else { 0x0f });
            body.extend(((first + i) | 0xe000).to_be_bytes());
            body.extend([0xf0, 22, 0x80, 20]);
            body.extend([0x11; 20]);
        }
        section(2, program, 0, &body)
    }

    fn sdt(program: u16, name: &str, padding: usize) -> Vec<u8> {
        let mut descriptors = vec![0x80, padding as u8];
        descriptors.resize(2 + padding, 0);
        descriptors.extend([0x48, name.len() as u8 + 3, 1, 0, name.len() as u8]);
        descriptors.extend(name.as_bytes());
        let mut body = vec![0, 1, 0xff];
        body.extend(program.to_be_bytes());
        body.push(0xfc);
        body.extend((descriptors.len() as u16 | 0x8000).to_be_bytes());
        body.extend(&descriptors);
        section(0x42, 1, 0, &body)
    }

    /// A section in packets of one PID.
    fn packets(pid: u16, section: &[u8]) -> Vec<Vec<u8>> {
        let first = [&[0][..], section].concat();
        let packet = |(i, part): (usize, &[u8])| {
            let start = if i == 0 { 0x40 } else { 0 };
            let mut b = vec![0x47, start | (pid >> 8) as u8, pid as u8, 0x10 | (i & 15) as u8];
            b.extend(part);
            b.resize(188, 0xff);
            b
        };
        first.chunks(184).enumerate().map(packet).collect()
    }

    fn told(datagrams: impl IntoIterator<Item = Vec<u8>>) -> Programs {
        let mut p = Programs::default();
        for (i, d) in datagrams.into_iter().enumerate() {
            p.take(&d, Mono(i as u64 * 1_000_000));
        }
        p
    }

    #[test]
    fn tables_over_several_datagrams_name_programs_and_pids() {
        let all = [
            packets(0, &pat(0, &[(0, 16), (100, 4096), (200, 4097)])),
            packets(4096, &pmt(100, 256, 30)),
            packets(4097, &pmt(200, 512, 0)),
            packets(0x11, &sdt(100, "News HD", 200)),
        ];
        assert!(all[1].len() == 5 && all[3].len() == 2, "they do not fit one packet");
        // One packet in each datagram.
        let p = told(all.concat());
        assert_eq!(p.list().len(), 2);
        assert_eq!((p.list()[0].number, &*p.list()[0].name), (100, "News HD"));
        assert_eq!(p.streams(100).count(), 31);
        assert_eq!(p.streams(200).map(|s| (s.pid, s.coding)).collect::<Vec<_>>(), [(512, "H.264")]);
        assert!(p.describe().starts_with("\"News HD\" 100: video H.264 pid 256, audio AAC pid 257"));
        // A part that is missing leaves the table out.
        let mut less = all.concat();
        less.remove(3);
        assert_eq!(told(less).streams(100).count(), 0);
    }

    #[test]
    fn a_table_that_is_damaged_is_not_believed_and_a_new_version_replaces_the_old() {
        let mut bad = packets(0, &pat(0, &[(100, 4096)]));
        bad[0][15] ^= 1;
        assert!(told(bad).list().is_empty());
        let p = told(
            [
                packets(0, &pat(0, &[(100, 4096)])),
                packets(4096, &pmt(100, 256, 1)),
                packets(0, &pat(1, &[(300, 4099)])),
            ]
            .concat(),
        );
        assert_eq!(p.describe(), "program 300");
    }

    #[test]
    fn names_and_streams_are_bounded_and_a_flood_of_tables_costs_little() {
        let many: Vec<(u16, u16)> = (1..200).map(|n| (n, 4000 + n)).collect();
        let mut all = packets(0, &pat(0, &many));
        for n in 1..20 {
            all.extend(packets(4000 + n, &pmt(n, n * 40, 30)));
        }
        let p = told(all);
        assert_eq!((p.list().len(), p.streams.len()), (PROGRAMS_MAX, STREAMS_MAX));
        let mut flood = Programs::default();
        for n in 0..1000u16 {
            flood.take(&packets(0, &pat(0, &[(n + 1, 4096)]))[0], Mono(5));
        }
        assert_eq!(flood.list()[0].number, READ_A_SECOND as u16, "of one second no more are read");
        assert!(flood.known.len() <= KNOWN);
    }
}
