"""From grants to findings: each subject, by what it has and by who it is."""
