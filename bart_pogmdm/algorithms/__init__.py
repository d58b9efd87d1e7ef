"""The algorithms: joint maximum, Gibbs sampling and Algorithm 1 of the paper.  Each turns a Problem into States."""
