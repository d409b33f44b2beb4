//! Whom a program in a cell may signal.
//!
//! `kill(-1, SIGKILL)` reaches every process of a user: fork(2) fails, the program takes its -1 for a
//! process id, and the student's editor is gone, or the other tests. A filter in front of the system
//! calls (seccomp(2)) refuses that, and signals to the test process, with `EPERM`.

use std::io;

use nix::libc::{self, c_long, sock_filter, sock_fprog};

/// System calls whose first argument is the process to signal.
const SIGNALLING: [c_long; 4] = [
    libc::SYS_kill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_pidfd_open,
];

/// Where `struct seccomp_data` has the number of the system call, and the low half of its first
/// argument.
const NUMBER: u32 = 0;
const FIRST: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };

/// A filter, ready to be installed between fork and exec.
pub(super) struct Filter(Vec<sock_filter>);

impl Filter {
    /// Refuses to signal everybody, and to signal `protected`.
    pub fn protecting(protected: libc::pid_t) -> Filter {
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
        let step = |code: u32, k: u32, jt, jf| sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        let calls = SIGNALLING.len() as u8;

        let mut program = vec![step(LOAD, NUMBER, 0, 0)];
        for (place, &call) in (0u8..).zip(&SIGNALLING) {
            // To where the argument is loaded; the last, where it is no such call, to where all is
            // allowed.
            let last = place + 1 == calls;
            program.push(step(
                EQUAL,
                call as u32,
                calls - 1 - place,
                if last { 3 } else { 0 },
            ));
        }
        program.push(step(LOAD, FIRST, 0, 0));
        program.push(step(EQUAL, u32::MAX, 2, 0));
        program.push(step(EQUAL, protected as u32, 1, 0));
        program.push(step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
        program.push(step(
            RETURN,
            libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
            0,
            0,
        ));
        Filter(program)
    }

    /// Installs it in this process, for good. One system call; needs `no_new_privs`. Where the system
    /// has no filters, the program runs without.
    pub fn install(&self) -> io::Result<()> {
        let program = sock_fprog {
            len: self.0.len() as u16,
            filter: self.0.as_ptr().cast_mut().cast(),
        };
        // SAFETY: the kernel copies the program, and changes nothing here.
        let result = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER as libc::c_ulong,
                &program,
            )
        };
        match io::Error::last_os_error().raw_os_error() {
            Some(error)
                if result != 0
                    && error != libc::EINVAL
                    && error != libc::ENOSYS =>
            {
                Err(io::Error::from_raw_os_error(error))
            }
            _ => Ok(()),
        }
    }
}
