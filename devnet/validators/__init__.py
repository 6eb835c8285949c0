"""`dpn demo validators`: a lying proposer, an epoch that dies, and an audit from outside."""
