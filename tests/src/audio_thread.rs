//! The priority of an audio thread.

/// Asks the system for the priority that hosts give the thread that calls `process` (on Linux `SCHED_FIFO`), for the calling
/// thread and for those it starts from now on. False where the system does not give it: on Linux that takes
/// `CAP_SYS_NICE` or a limit `rtprio`, as in the group `audio`.
pub fn ask_for_priority() -> bool {
    #[cfg(unix)]
    {
        use thread_priority::unix::{
            RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
        };
        use thread_priority::{ThreadPriority, ThreadPriorityValue};

        /// Of 100: where JACK and PipeWire put their clients.
        const AMONG_REAL_TIME: u8 = 70;
        let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
        ThreadPriorityValue::try_from(AMONG_REAL_TIME).is_ok_and(|value| {
            set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(value), policy).is_ok()
        })
    }
    #[cfg(not(unix))]
    {
        thread_priority::set_current_thread_priority(thread_priority::ThreadPriority::Max).is_ok()
    }
}
