"""The facts about published weights files, as their sources state them."""
