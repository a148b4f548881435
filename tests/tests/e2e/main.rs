//! End to end: the real binary, called by baresip, SIPp, a fleet of our own and `rusuden call`.
//! Run one test at a time (`make e2e`): each starts a service and loads the machine.

mod calls;
mod cli;
mod crash;
mod hostile;
mod load;
mod stop;
