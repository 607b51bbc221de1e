//! How acts and their parts are written and read.

use super::MAX_DESCRIPTION_LEN;
use super::change::{Act, ChainEnd, Ending, Newcomer, Settings};
use super::layout::{
    ascending, counted, put_bytes16, put_count, put_optional, put_text8, read_bool, read_bytes16, read_name,
    read_optional, targets, text,
};
use crate::account::AccountRecord;
use crate::decoding::{DecodeError, Reader};
use crate::device_list::{DeviceList, MAX_DEVICES, UnverifiedDeviceList};

impl Act {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Create { random, settings, author, name } => {
                out.push(1);
                out.extend_from_slice(random);
                out.push(settings.to_byte());
                author.put(out);
                put_text8(out, name);
            }
            Self::Add { link, members } => {
                out.push(2);
                put_optional(out, link.as_ref());
                put_count(out, members.len());
                members.iter().for_each(|member| member.put(out));
            }
            Self::Remove(targets) => put_endings(out, 3, targets),
            Self::Promote(targets) => {
                out.push(4);
                put_count(out, targets.len());
                out.extend(targets.iter().flatten());
            }
            Self::Demote(targets) => put_endings(out, 5, targets),
            Self::Rename(name) => {
                out.push(6);
                put_text8(out, name);
            }
            Self::Describe(text) => {
                out.push(7);
                put_bytes16(out, text.as_bytes());
            }
            Self::Set(settings) => out.extend_from_slice(&[8, settings.to_byte()]),
            Self::OpenLink { link, uses, expires_ms, approval } => {
                out.push(9);
                out.extend_from_slice(link);
                out.extend_from_slice(&uses.to_be_bytes());
                out.extend_from_slice(&expires_ms.to_be_bytes());
                out.push(u8::from(*approval));
            }
            Self::RevokeLink(link) => {
                out.push(10);
                out.extend_from_slice(link);
            }
            Self::Leave { successor, chains } => {
                out.push(11);
                put_optional(out, successor.as_ref());
                put_chains(out, chains);
            }
            Self::Disband => out.push(12),
            Self::List(list) => {
                out.push(13);
                put_bytes16(out, &list.encode());
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            1 => Self::Create {
                random: reader.array()?,
                settings: Settings::from_byte(reader.u8()?)?,
                author: Box::new(Newcomer::read(reader)?),
                name: read_name(reader)?,
            },
            2 => {
                let link = read_optional(reader)?;
                let members = targets(reader, Newcomer::read)?;
                ascending(&members, |member| member.record.id(), "targets")?;
                Self::Add { link, members }
            }
            3 => Self::Remove(read_endings(reader)?),
            4 => {
                let members = targets(reader, |reader| reader.array())?;
                ascending(&members, |member| *member, "targets")?;
                Self::Promote(members)
            }
            5 => Self::Demote(read_endings(reader)?),
            6 => Self::Rename(read_name(reader)?),
            7 => Self::Describe(text(read_bytes16(reader, MAX_DESCRIPTION_LEN)?)?),
            8 => Self::Set(Settings::from_byte(reader.u8()?)?),
            9 => {
                let (link, uses, expires_ms) = (reader.array()?, u16::from_be_bytes(reader.array()?), reader.u64()?);
                if uses == 0 {
                    return Err(DecodeError::BadField("uses"));
                }
                Self::OpenLink { link, uses, expires_ms, approval: read_bool(reader)? }
            }
            10 => Self::RevokeLink(reader.array()?),
            11 => Self::Leave { successor: read_optional(reader)?, chains: read_chains(reader)? },
            12 => Self::Disband,
            13 => Self::List(read_list(reader)?),
            _ => return Err(DecodeError::BadField("kind")),
        })
    }
}

impl Newcomer {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.record.encode());
        put_bytes16(out, &self.list.encode());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let record = AccountRecord::decode(reader.take(AccountRecord::LEN)?)?;
        Ok(Self { record, list: read_list(reader)? })
    }
}

fn put_endings(out: &mut Vec<u8>, kind: u8, targets: &[Ending]) {
    out.push(kind);
    put_count(out, targets.len());
    for target in targets {
        out.extend_from_slice(&target.account);
        put_chains(out, &target.chains);
    }
}

fn put_chains(out: &mut Vec<u8>, chains: &[ChainEnd]) {
    put_count(out, chains.len());
    for end in chains {
        out.extend_from_slice(&end.device.to_be_bytes());
        out.extend_from_slice(&end.generation.to_be_bytes());
        out.extend_from_slice(&end.next.to_be_bytes());
        out.extend_from_slice(&end.chain);
    }
}

fn read_endings(reader: &mut Reader<'_>) -> Result<Vec<Ending>, DecodeError> {
    let endings = targets(reader, |reader| Ok(Ending { account: reader.array()?, chains: read_chains(reader)? }))?;
    ascending(&endings, |ending| ending.account, "targets")?;
    Ok(endings)
}

fn read_chains(reader: &mut Reader<'_>) -> Result<Vec<ChainEnd>, DecodeError> {
    let chains = counted(reader, 0..=MAX_DEVICES, "chains", |reader| {
        let (device, generation, next, chain) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.array()?);
        if device == 0 || generation == 0 {
            return Err(DecodeError::BadField("chains"));
        }
        Ok(ChainEnd { device, generation, next, chain })
    })?;
    ascending(&chains, |end| end.device, "chains")?;
    Ok(chains)
}

fn read_list(reader: &mut Reader<'_>) -> Result<UnverifiedDeviceList, DecodeError> {
    DeviceList::decode(read_bytes16(reader, usize::from(u16::MAX))?)
}
