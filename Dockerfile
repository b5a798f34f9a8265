# Figure 6 on synthetic images; with its results kept, and with one's own data:
#   docker build -t conv-nn-report . && docker run --rm conv-nn-report
#   docker run --rm -v "$PWD":/data -w /data --user "$(id -u)" conv-nn-report make -C /report figure-6 RESULTS=/data DATA=/data/FILE
FROM python:3.13-slim
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home reader && install -d -o reader /report
USER reader
WORKDIR /report
COPY --chown=reader . .
RUN make .venv/installed
CMD ["make", "figure-6", "DATA=synthetic"]
