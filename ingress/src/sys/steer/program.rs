//! The eBPF program that steers: assembled here, since it has a page of instructions and a
//! compiler for them would be one more thing to install. Pure: a range and two maps in,
//! instructions out.
//!
//! ```text
//! if protocol != UDP or port outside the range: pass
//! entry = ports[port - first]
//! if entry.family != family or entry.address != local address: pass
//! socket = sockets[(port - first) / 2 % shards + (IPv6 ? shards : 0)]
//! if socket: assign it
//! pass
//! ```

use std::os::fd::RawFd;

use super::Range;

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    code: u8,
    /// Destination in the low four bits, source in the high four.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// Places in `struct bpf_sk_lookup` (`linux/bpf.h`).
mod context {
    pub(super) const FAMILY: i16 = 8;
    pub(super) const PROTOCOL: i16 = 12;
    pub(super) const LOCAL_IP4: i16 = 40;
    pub(super) const LOCAL_IP6: i16 = 44;
    pub(super) const LOCAL_PORT: i16 = 60;
}

/// Helper functions of the kernel.
mod helper {
    pub(super) const MAP_LOOKUP_ELEM: i32 = 1;
    pub(super) const SK_RELEASE: i32 = 86;
    pub(super) const SK_ASSIGN: i32 = 124;
}

/// Operation codes (`linux/bpf_common.h`, `linux/bpf.h`).
mod op {
    pub(super) const ADD_IMM: u8 = 0x07;
    pub(super) const ADD: u8 = 0x0f;
    pub(super) const SUB_IMM: u8 = 0x17;
    pub(super) const SHIFT_RIGHT_IMM: u8 = 0x77;
    pub(super) const MOD_IMM: u8 = 0x97;
    pub(super) const MOVE_IMM: u8 = 0xb7;
    pub(super) const MOVE: u8 = 0xbf;
    pub(super) const LOAD_WORD: u8 = 0x61;
    pub(super) const STORE_WORD: u8 = 0x63;
    pub(super) const LOAD_MAP: u8 = 0x18;
    pub(super) const GOTO: u8 = 0x05;
    pub(super) const IF_EQUAL_IMM: u8 = 0x15;
    pub(super) const IF_NOT_EQUAL_IMM: u8 = 0x55;
    pub(super) const IF_NOT_EQUAL: u8 = 0x5d;
    pub(super) const IF_ABOVE_IMM: u8 = 0x25;
    pub(super) const CALL: u8 = 0x85;
    pub(super) const EXIT: u8 = 0x95;
}

/// Says that a 64-bit constant is a map's descriptor.
const PSEUDO_MAP_FD: u8 = 1;
/// Where the key of a look-up lies, from the frame pointer.
const KEY: i16 = -4;
const FRAME: u8 = 10;
/// The program's verdict: go on with the socket that was assigned, or with the usual look-up.
const SK_PASS: i32 = 1;

/// Registers that survive calls.
const CONTEXT: u8 = 6;
const INDEX: u8 = 7;
const FAMILY_OFFSET: u8 = 8;

/// Instructions under assembly; jumps to the end are patched when it is known.
#[derive(Default)]
struct Assembler {
    code: Vec<Instruction>,
    to_the_end: Vec<usize>,
}

impl Assembler {
    fn put(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> usize {
        self.code.push(Instruction { code, registers: from << 4 | to, offset, immediate });
        self.code.len() - 1
    }

    /// A jump whose target is the end.
    fn leave(&mut self, code: u8, left: u8, right: u8, immediate: i32) {
        let at = self.put(code, left, right, 0, immediate);
        self.to_the_end.push(at);
    }

    /// Makes the jump at `at` end here.
    fn land(&mut self, at: usize) {
        let distance = self.code.len() - at - 1;
        self.code[at].offset = i16::try_from(distance).expect("the program is a page long");
    }

    /// `r0 = map[*KEY]`, leaving when there is nothing.
    fn look_up(&mut self, map: RawFd, key: u8) {
        self.put(op::STORE_WORD, FRAME, key, KEY, 0);
        self.put(op::LOAD_MAP, 1, PSEUDO_MAP_FD, 0, map);
        self.put(0, 0, 0, 0, 0);
        self.put(op::MOVE, 2, FRAME, 0, 0);
        self.put(op::ADD_IMM, 2, 0, 0, i32::from(KEY));
        self.put(op::CALL, 0, 0, 0, helper::MAP_LOOKUP_ELEM);
        self.leave(op::IF_EQUAL_IMM, 0, 0, 0);
    }

    /// Leaves unless a word of the context equals one of the entry in `r0`.
    fn compare(&mut self, in_context: i16, in_entry: i16) {
        self.put(op::LOAD_WORD, 3, CONTEXT, in_context, 0);
        self.put(op::LOAD_WORD, 4, 0, in_entry, 0);
        self.leave(op::IF_NOT_EQUAL, 3, 4, 0);
    }

    fn finish(mut self) -> Vec<Instruction> {
        for at in std::mem::take(&mut self.to_the_end) {
            self.land(at);
        }
        self.put(op::MOVE_IMM, 0, 0, 0, SK_PASS);
        self.put(op::EXIT, 0, 0, 0, 0);
        self.code
    }
}

/// The program for a range, with the descriptors of its maps.
pub(super) fn program(range: Range, ports: RawFd, sockets: RawFd) -> Vec<Instruction> {
    let mut asm = Assembler::default();
    let count = i32::from(range.last.saturating_sub(range.first));
    asm.put(op::MOVE, CONTEXT, 1, 0, 0);
    asm.put(op::LOAD_WORD, 2, CONTEXT, context::PROTOCOL, 0);
    asm.leave(op::IF_NOT_EQUAL_IMM, 2, 0, libc::IPPROTO_UDP);
    // A port below the first wraps round and is above the last.
    asm.put(op::LOAD_WORD, INDEX, CONTEXT, context::LOCAL_PORT, 0);
    asm.put(op::SUB_IMM, INDEX, 0, 0, i32::from(range.first));
    asm.leave(op::IF_ABOVE_IMM, INDEX, 0, count);
    asm.look_up(ports, INDEX);
    asm.compare(context::FAMILY, 0);
    asm.put(op::MOVE_IMM, FAMILY_OFFSET, 0, 0, 0);
    let v6 = asm.put(op::IF_EQUAL_IMM, 3, 0, 0, libc::AF_INET6);
    asm.compare(context::LOCAL_IP4, 4);
    let known = asm.put(op::GOTO, 0, 0, 0, 0);
    asm.land(v6);
    for word in 0..4 {
        asm.compare(context::LOCAL_IP6 + 4 * word, 4 + 4 * word);
    }
    asm.put(op::MOVE_IMM, FAMILY_OFFSET, 0, 0, i32::from(range.shards));
    asm.land(known);
    asm.put(op::SHIFT_RIGHT_IMM, INDEX, 0, 0, 1);
    asm.put(op::MOD_IMM, INDEX, 0, 0, i32::from(range.shards.max(1)));
    asm.put(op::ADD, INDEX, FAMILY_OFFSET, 0, 0);
    asm.look_up(sockets, INDEX);
    asm.put(op::MOVE, INDEX, 0, 0, 0);
    asm.put(op::MOVE, 1, CONTEXT, 0, 0);
    asm.put(op::MOVE, 2, INDEX, 0, 0);
    asm.put(op::MOVE_IMM, 3, 0, 0, 0);
    asm.put(op::CALL, 0, 0, 0, helper::SK_ASSIGN);
    asm.put(op::MOVE, 1, INDEX, 0, 0);
    asm.put(op::CALL, 0, 0, 0, helper::SK_RELEASE);
    asm.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_eight_octets_and_every_jump_lands_inside() {
        assert_eq!(size_of::<Instruction>(), 8);
        let code = program(Range { first: 20_000, last: 29_999, shards: 3 }, 5, 6);
        for (at, instruction) in code.iter().enumerate() {
            if instruction.offset > 0 && instruction.code & 0x07 == 0x05 {
                assert!(at + 1 + (instruction.offset as usize) < code.len(), "{at}");
            }
        }
        assert_eq!(code.last().map(|last| last.code), Some(op::EXIT));
    }
}
